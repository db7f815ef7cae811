internal import RPCKeys
internal import RPCTransport
internal import RPCWire

extension Topology.Server {
  /// What proves the client's key to this server.
  ///
  /// - Parameters:
  ///   - hello: the server's.
  ///   - address: the far end of the connection.
  /// - Throws: `Unauthenticated` where the server asks for no proof.
  internal func proof(
    of key: PrivateKey, to hello: Hello, at address: SocketAddress?
  ) throws(RPCError) -> Proof {
    guard hello.features.contains(Feature.proof), let challenge = hello.challenge, let address else {
      throw RPCError(.unauthenticated, "\(label) takes no proof of a key", executed: .no)
    }
    return Proof(of: key, to: challenge, server: name, address: (address.ipBytes, address.port))
  }
}
