import RPCKeys
import RPCWire
import Testing

extension RawPeer {
  /// A peer that has asked to be challenged, and the server's HELLO.
  static func challenged(_ server: TestServer, identity: String? = nil) throws -> (RawPeer, Hello) {
    let peer = try RawPeer(port: server.port)
    var hello = Hello(agent: "test", identity: identity)
    hello.features = [Feature.proof, "something else"]
    hello.nonce = RandomBytes.challenge()
    peer.send { queue in
      queue.append(Preface.bytes)
      hello.encode(to: &queue)
    }
    let frame = try #require(peer.next())
    let answer = try Hello(payload: frame.payload.span.bytes)
    _ = try #require(answer.serverProof).key(provenFor: #require(hello.nonce))
    return (peer, answer)
  }

  static func proof(
    _ key: PrivateKey, _ hello: Hello, _ server: TestServer, name: String = "whatever", port: Int? = nil
  ) throws -> Proof {
    Proof(
      of: key, to: try #require(hello.challenge), server: name,
      address: ([127, 0, 0, 1], port ?? server.port),
      in: ProofScope(serverKey: try #require(hello.serverProof).key))
  }

  /// A peer that has proven a key.
  static func greeted(by server: TestServer, proving key: PrivateKey) throws -> RawPeer {
    let (peer, hello) = try challenged(server)
    let proof = try proof(key, hello, server)
    peer.send { proof.encode(to: &$0) }
    #expect(peer.next()?.kind == .proof)
    return peer
  }
}
