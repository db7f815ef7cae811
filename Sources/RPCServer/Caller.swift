internal import RPCProcedures
internal import RPCTransport
internal import RPCWire

/// Who is at the other end of a connection: where from, which registered clients that can be, and which one
/// it says it is. An object, so that naming the caller of a call counts no references of its parts.
internal final class Caller {
  let peer: SocketAddress
  let peerBytes: [UInt8]
  /// Whether the peer is on this host: only such may deploy while no keys are configured.
  let isOwnHost: Bool
  /// The name that the peer gave in its HELLO, checked against its address.
  private(set) var claimed: String?
  /// The address, and the name once it is known: how the log names the caller.
  private(set) var label: [UInt8] {
    didSet { lastExecuted = nil }
  }
  /// The procedure whose execution the log told of last, and how it did.
  @exclusivity(unchecked) private(set) var lastExecuted: BoundProcedure?
  @exclusivity(unchecked) private(set) var executedText: [UInt8] = []
  /// Where its executions of that moment are counted: the log's own.
  @exclusivity(unchecked) var run = 0
  @exclusivity(unchecked) var runMoment: UInt64 = 0

  init(peer: SocketAddress, local: SocketAddress?) {
    self.peer = peer
    peerBytes = peer.ipBytes
    isOwnHost = peer.isLoopback || local.map { $0.ipBytes == peer.ipBytes } ?? false
    label = Array(peer.description.utf8)
  }

  func remember(_ procedure: BoundProcedure, _ text: [UInt8]) {
    lastExecuted = procedure
    executedText = text
  }

  /// The registered names that this address may act under: the claimed one alone, where one was claimed.
  func identities(in catalogue: Catalogue) -> [String] {
    let port = peer.port
    return catalogue.clients
      .filter { (claimed == nil || $0.name == claimed) && $0.matches(address: peerBytes, port: port) }
      .map(\.name)
  }

  /// Takes the name that a HELLO gives.
  ///
  /// - Throws: `Unauthenticated` where the registered address of that name is another one.
  func claim(_ name: String, in catalogue: Catalogue) throws(RPCError) {
    let rules = catalogue.clients.filter { $0.name == name }
    if rules.isEmpty, !catalogue.clients.isEmpty {
      var message = "no client '\(name)' is registered"
      if let near = Spelling.nearest(to: name, in: catalogue.clients.map(\.name)) {
        message += "; did you mean '\(near)'?"
      }
      throw RPCError(.unauthenticated, message)
    }
    guard rules.isEmpty || rules.contains(where: { $0.matches(address: peerBytes, port: peer.port) }) else {
      throw RPCError(
        .unauthenticated, "the client '\(name)' is registered with another address than \(peer)")
    }
    claimed = name
    label = logEscaped("\(name)@\(peer)")
  }

  /// How a refusal names the caller.
  func description(in catalogue: Catalogue) -> String {
    let names = identities(in: catalogue)
    return names.isEmpty ? "the caller at \(peer)" : "the client '\(names.joined(separator: "', '"))'"
  }
}
