internal import RPCKeys
internal import RPCNetwork
internal import RPCProcedures
internal import RPCTLS
internal import RPCTransport
internal import RPCWire

/// Who is at the other end of a connection: where from, which registered clients that can be, and which one
/// it says it is. An object, so that naming the caller of a call counts no references of its parts.
internal final class Caller {
  // First what every call touches.
  /// The procedure whose execution was logged last, and the text of that line.
  @exclusivity(unchecked) private(set) var lastExecuted: BoundProcedure?
  /// The index of the run that counts its executions, and the window in which it is valid: used by the log only.
  @exclusivity(unchecked) var run = 0
  @exclusivity(unchecked) var runWindow: UInt64 = 0
  @exclusivity(unchecked) private(set) var executedText: [UInt8] = []
  /// The address, and the name once it is known: how the log names the caller.
  private(set) var label: [UInt8] {
    didSet { lastExecuted = nil }
  }
  let peer: SocketAddress
  /// Whether the peer is on this host, which gives no right by itself: such may know where this server's files are.
  let isOwnHost: Bool
  /// What it has shown beside its address.
  private(set) var credentials = Credentials()
  /// The name that the peer gave in its HELLO, checked against its address.
  private(set) var claimed: String?

  init(peer: SocketAddress, local: SocketAddress?) {
    self.peer = peer
    isOwnHost = peer.isLoopback || local.map { $0.ipBytes == peer.ipBytes } ?? false
    label = Array(peer.description.utf8)
  }

  /// The key that it has proven to own, by a PROOF or else by its certificate.
  var key: PublicKey? { credentials.key ?? credentials.certificateKey }

  /// Takes the certificate of a TLS handshake.
  func take(_ peer: TLSPeer) {
    credentials.certificate = peer.pin
    credentials.certificateKey = peer.key
    credentials.names = peer.names
    if claimed == nil { label = logEscaped("\(peer.names.first ?? peer.pin.description)@\(self.peer)") }
  }

  /// The caller that a token names: from the same place, with the rights of the token's client.
  ///
  /// - Throws: `Unauthenticated` where no client has it, or one that calls from elsewhere.
  func presenting(_ token: TokenDigest, in catalogue: Catalogue) throws(RPCError) -> Caller {
    guard let rule = catalogue.clients.first(where: { $0.token == token }) else {
      throw RPCError(.unauthenticated, "no client is registered with this token")
    }
    guard rule.matches(address: peer.ipBytes, port: peer.port) else {
      throw RPCError(
        .unauthenticated, "the token is of a client that is registered with another address than \(peer)")
    }
    let named = Caller(peer: peer, isOwnHost: isOwnHost)
    named.credentials.token = token
    named.claimed = rule.name
    named.label = logEscaped("\(rule.name)@\(peer)")
    return named
  }

  private init(peer: SocketAddress, isOwnHost: Bool) {
    self.peer = peer
    self.isOwnHost = isOwnHost
    label = Array(peer.description.utf8)
  }

  func remember(_ procedure: BoundProcedure, _ text: [UInt8]) {
    lastExecuted = procedure
    executedText = text
  }

  /// The registered names that this address may act under: the claimed one alone, where one was claimed.
  func identities(in catalogue: Catalogue) -> [String] {
    let (address, port) = (peer.ipBytes, peer.port)
    return catalogue.clients
      .filter {
        $0.name.hasSameUTF8(as: claimed ?? $0.name)
          && $0.matches(address: address, port: port, credentials)
      }
      .map(\.name)
  }

  /// Takes the name that a HELLO gives.
  ///
  /// - Parameter willProve: a key is going to be proven.
  /// - Throws: `Unauthenticated` where the registered address of that name is another one, or a key is missing.
  func claim(_ name: String, in catalogue: Catalogue, willProve: Bool) throws(RPCError) {
    let rules = catalogue.clients.filter { $0.name.hasSameUTF8(as: name) }
    let address = peer.ipBytes
    if rules.isEmpty, !catalogue.clients.isEmpty {
      var message = "no client '\(name)' is registered"
      if let near = Spelling.nearest(to: name, in: catalogue.clients.map(\.name)) {
        message += "; did you mean '\(near)'?"
      }
      throw RPCError(.unauthenticated, message)
    }
    guard rules.isEmpty || rules.contains(where: { $0.matches(address: address, port: peer.port) }) else {
      throw RPCError(
        .unauthenticated, "the client '\(name)' is registered with another address than \(peer)")
    }
    if !willProve, !rules.isEmpty, rules.allSatisfy(\.needsCredential),
      !rules.contains(where: { $0.matches(address: address, port: peer.port, credentials) })
    {
      let what = rules.contains { $0.key != nil } ? "a key" : "a certificate or a token"
      throw RPCError(
        .unauthenticated,
        "the client '\(name)' is registered with \(what), which this connection does not prove")
    }
    claimed = name
    label = logEscaped("\(name)@\(peer)")
  }

  /// Takes the proof of a key.
  ///
  /// - Parameters:
  ///   - scope: this server's key, and the channel of the connection.
  ///   - serverName: this server's, once it has one.
  ///   - local: the end of the connection that is here.
  /// - Throws: `Unauthenticated` where the proof does not hold, was made for another server, or is of another key
  ///   than the one that the name given in the HELLO is registered with.
  func prove(
    _ proof: Proof, challenge: [UInt8], scope: ProofScope, serverName: String?, local: SocketAddress?,
    in catalogue: Catalogue
  ) throws(RPCError) {
    let key: PublicKey
    do {
      key = try proof.key(provenFor: challenge, in: scope)
    } catch {
      throw RPCError(.unauthenticated, "the proof of the key does not hold: \(error)")
    }
    // By its name or by its address: the one may be older or newer here than in the client's file, the other
    // translated on the way. A peer that passes a proof on has neither.
    let isForUs =
      serverName.map { proof.server.hasSameUTF8(as: $0) } ?? false
      || local.map { $0.ipBytes == proof.ip && $0.port == proof.port } ?? false
    guard isForUs else {
      let name = serverName.map { "'\($0)'" } ?? "without a name yet"
      throw RPCError(
        .unauthenticated,
        "the proof of the key is for a server '\(proof.server)' at another address; this one is \(name)")
    }
    let rules = catalogue.clients.filter { rule in claimed.map { rule.name.hasSameUTF8(as: $0) } ?? false }
    var shown = credentials
    shown.key = key
    let address = peer.ipBytes
    if let claimed, !rules.isEmpty,
      !rules.contains(where: { $0.matches(address: address, port: peer.port, shown) })
    {
      throw RPCError(.unauthenticated, "the client '\(claimed)' is registered with another key")
    }
    credentials = shown
    if claimed == nil { label = logEscaped("\(key.fingerprint)@\(peer)") }
  }

  /// Why the caller may not use a service, the cause first.
  ///
  /// - Parameter isDeployer: its key is known here, though it is not a client's.
  func refusal(of service: String, in catalogue: Catalogue, isDeployer: Bool) -> String {
    let names = identities(in: catalogue)
    let who = names.isEmpty ? "the caller at \(peer)" : "the client '\(names.joined(separator: "', '"))'"
    let consequence = "\(who) is not a tenant of the service '\(service)'"
    guard let key else {
      guard let pin = credentials.certificate, names.isEmpty else { return consequence }
      return "the certificate \(pin) is unknown: no client is registered with it, and \(consequence)"
    }
    let owners = catalogue.clients.filter { $0.key == key }.map(\.name)
    if owners.isEmpty {
      if isDeployer { return consequence }
      return "the key \(key.fingerprint) is unknown: no client is registered with it, and \(consequence)"
    }
    // Of those that have the key and are not this caller, the address must be another.
    guard !owners.contains(where: names.contains) else { return consequence }
    return "the key \(key.fingerprint) is that of the client '\(owners.joined(separator: "', '"))', which is "
      + "registered with another address than \(peer), and \(consequence)"
  }
}
