internal import RPCKeys
internal import RPCNetwork
internal import RPCSystem
internal import RPCTLS
internal import RPCTransport
internal import RPCWire

/// The server's side of TLS, shared by all loops: what new connections are encrypted with, and which clients'
/// certificates are known.
internal final class ServerTLS: Sendable {
  private struct State {
    var context: TLSServerContext?
    /// Keys of registered clients, as certificates name them.
    var known: Set<CertificatePin> = []
    var asks = false
    var files: TLSFiles
    /// Those who may deploy, some of whom show their key by a certificate.
    var deployers: Deployers?
  }

  let mode: TLSOptions.Mode
  private let protocols: [String]
  private let state: Lock<State>
  /// Kept over a change of certificates, so that clients resume their sessions.
  private let ticketKeys = TicketKeys()

  /// Names of ALPN that a server of this kind may speak, the dearest first.
  private static let protocols = ["h2", "http/1.1", "simplerpc/1"]

  init(_ options: TLSOptions, dataDirectory: String?, address: SocketAddress, dialects: [any Dialect.Type]) {
    mode = options.mode
    state = Lock(State(files: TLSFiles(options: options, dataDirectory: dataDirectory, address: address)))
    // Those that a dialect takes, whatever the bytes.
    protocols = Self.protocols.filter { name in
      dialects.contains { $0.recognise([0 as UInt8].span.bytes, alpn: name) != .no }
    }
  }

  /// Reads the certificates, at the start and whenever they may have changed: connections that are open keep theirs.
  ///
  /// - Parameter options: other files than before, if any.
  /// - Returns: the keys to pin.
  /// - Throws: `KeyError`, and all is as before.
  @discardableResult
  func load(_ options: TLSOptions? = nil) throws(KeyError) -> [CertificatePin] {
    guard mode != .off else { return [] }
    var files = state.withLock(\.files)
    if let options { files.options = options }
    let identities = try files.identities()
    let trust = ClientTrust(
      authorities: try files.authorities(),
      asks: { [weak self] in self?.asks ?? false }, knows: { [weak self] pin in self?.knows(pin) ?? false })
    do {
      let context = try TLSServerContext(
        identities: identities, protocols: protocols, trust: trust, ticketKeys: ticketKeys)
      state.withLock { state in
        state.context = context
        state.files = files
      }
    } catch {
      throw KeyError("TLS cannot be set up: \(error)")
    }
    return pins
  }

  private var asks: Bool { state.withLock { $0.asks || $0.deployers?.areListed ?? false } }

  private func knows(_ pin: CertificatePin) -> Bool {
    let (isKnown, deployers) = state.withLock { ($0.known.contains(pin), $0.deployers) }
    return isKnown || deployers?.contains(pin) ?? false
  }

  /// Has the certificates of those who may deploy taken too.
  func setDeployers(_ deployers: Deployers) { state.withLock { $0.deployers = deployers } }

  /// What clients pin, the first certificate's first.
  var pins: [CertificatePin] { state.withLock { $0.context?.pins ?? [] } }

  /// The names of hosts in the certificates, with `*` as the first label where one stands for all.
  var hosts: [String] {
    let names = state.withLock { $0.context?.names ?? [] }
    return names.filter { HostName.isValid($0.hasPrefix("*.") ? String($0.dropFirst(2)) : $0) }
  }

  /// Takes the clients of a generation: their certificates are known by their keys, no matter who signed them.
  func update(_ clients: [ClientRule]) {
    guard mode != .off else { return }
    var known: Set<CertificatePin> = []
    for client in clients {
      if case .pin(let pin) = client.certificate { known.insert(pin) }
      if let key = client.key { known.insert(key.certificatePin) }
    }
    state.withLock { state in
      state.known = known
      state.asks = clients.contains { $0.key != nil || $0.certificate != nil }
    }
  }

  /// What recognises TLS among the first bytes; nil where there is none.
  var filter: FilterEntry? {
    guard mode != .off else { return nil }
    return FilterEntry(
      recognise: { first in
        // A handshake record of a version 3.x (RFC 8446, section 5.1).
        guard unsafe first.unsafeLoad(fromByteOffset: 0, as: UInt8.self) == Self.handshakeByte else {
          return .no
        }
        guard first.byteCount > 1 else { return .needs(bytes: 2) }
        return unsafe first.unsafeLoad(fromByteOffset: 1, as: UInt8.self) == 3 ? .yes : .no
      },
      make: { [self] in try? state.withLock(\.context)?.makeFilter() })
  }

  /// What a TLS handshake begins with.
  static let handshakeByte: UInt8 = 22

  /// What a client is told that speaks plainly where it must not.
  static let plainRefusal = RPCError(
    .unauthenticated,
    "this port speaks TLS only: over HTTP use https://, and in init.yaml give the server's 'certificate', as "
      + "'rpc-server --print-pin' tells it, or the network's 'ca'", executed: .no)

  /// What a client is told that speaks TLS where there is none.
  static let noTLS = RPCError(
    .protocolError, "this port speaks no TLS: start the server with --tls offered, or speak to it plainly",
    executed: .no)
}
