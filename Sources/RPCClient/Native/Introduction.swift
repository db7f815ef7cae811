internal import RPCKeys
internal import RPCNetwork
internal import RPCTransport
internal import RPCWire

/// The beginning of a connection as the client sees it: what its HELLO asks for, and what it makes of the server's.
/// The server's key is checked first; only then is anything signed, and that covers the server's key.
internal struct Introduction {
  private let server: Topology.Server
  private let key: PrivateKey?
  /// What the server is to sign; nil where nobody asks who it is.
  private let nonce: [UInt8]?
  /// What the server has proven to own.
  internal private(set) var serverKey: PublicKey?

  /// - Parameter key: proves to the server who the client is.
  internal init(to server: Topology.Server, proving key: PrivateKey?) {
    self.server = server
    self.key = key
    nonce = key == nil && server.key == nil ? nil : RandomBytes.challenge()
  }

  /// Whether calls must wait for the server's HELLO, since a key is proven by it or after it.
  internal var provesKeys: Bool { nonce != nil }

  internal func hello(identity: String?, options: ClientOptions) -> Hello {
    var hello = Hello(agent: options.agent, identity: identity)
    hello.frameBytes = options.frameBytes
    hello.keepaliveMilliseconds = options.keepaliveMilliseconds
    hello.nonce = nonce
    if key != nil { hello.features.append(Feature.proof) }
    return hello
  }

  /// Checks the server's key, where the client asked for it.
  ///
  /// - Parameters:
  ///   - hello: the server's.
  ///   - address: the far end of the connection.
  ///   - channel: what ties proofs to the channel, as in `ProofScope`.
  /// - Returns: what proves the client's key to this server; nil where it has none to prove.
  /// - Throws: `Unauthenticated` where the server does not prove its key, has another one than is pinned, or asks for
  ///   no proof.
  internal mutating func answer(
    to hello: Hello, at address: SocketAddress?, channel: [UInt8] = []
  ) throws(RPCError) -> Proof? {
    guard let nonce else { return nil }
    let serverKey = try provenKey(hello, nonce, channel)
    self.serverKey = serverKey
    guard let key else { return nil }
    guard hello.features.contains(Feature.proof), let challenge = hello.challenge, let address else {
      throw RPCError(.unauthenticated, "\(server.label) takes no proof of a key", executed: .no)
    }
    return Proof(
      of: key, to: challenge, server: server.name, address: (address.ipBytes, address.port),
      in: ProofScope(serverKey: serverKey.bytes, channel: channel))
  }

  private func provenKey(_ hello: Hello, _ nonce: [UInt8], _ channel: [UInt8]) throws(RPCError) -> PublicKey {
    guard let proof = hello.serverProof else {
      throw RPCError(
        .unauthenticated,
        "\(server.label) runs '\(hello.agent.prefix(64))' and proves no key of its own: "
          + "keys need a server of version \(Release.firstWithServerKeys) or later",
        executed: .no)
    }
    let found: PublicKey
    do {
      found = try proof.key(provenFor: nonce, channel: channel)
    } catch {
      throw RPCError(
        .unauthenticated,
        "\(server.label) does not own the key that it names, so it may be another server in its place: \(error)",
        executed: .no)
    }
    guard let pinned = server.key, pinned != found else { return found }
    throw RPCError(
      .unauthenticated,
      "\(server.label) has the key \(found.fingerprint), expected was \(pinned.fingerprint): another server may be "
        + "answering in its place. If it was set up again on purpose, its 'key' is now '\(found)'",
      executed: .no)
  }
}
