internal import Glibc
internal import RPCNetwork
internal import RPCSystem
internal import RPCTransport

/// Where a client's connections come from: servers know a client by the address it is registered with.
internal struct SourceAddress: Sendable {
  private let identity: String?
  private let host: String?
  private let port: UInt16?

  /// - Parameter client: who the program runs as; nil leaves the choice to the system.
  internal init(_ client: Topology.Client?) {
    identity = client?.name
    // A network such as 10.0.0.0/8 admits many addresses: the system picks the one that leads there.
    host = client?.host.flatMap { $0.contains("/") ? nil : $0 }
    port = client?.port
  }

  /// With a fixed port there can be one connection at a time to each server.
  internal var isExclusive: Bool { port != nil }

  /// The address to bind before connecting to `target`, or nil for any.
  internal func address(toReach target: SocketAddress) throws(SystemError) -> SocketAddress? {
    guard host != nil || port != nil else { return nil }
    let port = Int(self.port ?? 0)
    if let host {
      let candidates = try SocketAddress.resolve(host: host, port: port)
      guard let match = candidates.first(where: { $0.family == target.family }) else {
        throw SystemError(code: EAFNOSUPPORT, operation: "connect from '\(host)' to \(target)")
      }
      return match
    }
    return SocketAddress(ip: target.family == AF_INET6 ? "::" : "0.0.0.0", port: port)
  }

  /// A closed connection would hold a fixed port back for a minute (TIME_WAIT), so it is reset instead; by
  /// then every answer has been read.
  internal func configure(_ descriptor: Int32) {
    guard isExclusive else { return }
    var value = linger(l_onoff: 1, l_linger: 0)
    _ = setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &value, socklen_t(MemoryLayout<linger>.size))
  }

  /// Why a connection could not be opened, for somebody who runs as a registered client.
  internal func explain(_ error: SystemError) -> String {
    guard let identity, host != nil || port != nil else { return error.plainReason }
    switch error.code {
    case EADDRINUSE,
      EADDRNOTAVAIL where error.operation.kind == .connect:
      let place = port.map { "\(host ?? "*"):\($0)" } ?? host ?? ""
      return "the source address \(place) is in use (is another program running as '\(identity)'?)"
    case EADDRNOTAVAIL: return "'\(identity)' is registered with an address that this machine does not have"
    case EACCES: return "the port registered for '\(identity)' is reserved"
    default: return error.plainReason
    }
  }
}
