import RPCKeys
import RPCServer
import RPCTransport
import RPCWire
import TestSupport
import Testing

@Suite("Keys, as a server takes them")
struct KeyTests {
  private static func key(_ byte: UInt8) throws -> PrivateKey {
    try PrivateKey(seed: [UInt8](repeating: byte, count: 32))
  }

  /// A peer that has asked to be challenged, and the server's HELLO.
  private static func challenged(_ server: TestServer, identity: String? = nil) throws -> (RawPeer, Hello) {
    let peer = try RawPeer(port: server.port)
    var hello = Hello(agent: "test", identity: identity)
    hello.features = [Feature.proof, "something else"]
    peer.send { queue in
      queue.append(Preface.bytes)
      hello.encode(to: &queue)
    }
    let frame = try #require(peer.next())
    return (peer, try Hello(payload: frame.payload.span.bytes))
  }

  private static func proof(
    _ key: PrivateKey, _ hello: Hello, _ server: TestServer, name: String = "whatever", port: Int? = nil
  ) throws -> Proof {
    Proof(
      of: key, to: try #require(hello.challenge), server: name,
      address: ([127, 0, 0, 1], port ?? server.port))
  }

  /// A server that lets the owners of these keys deploy.
  private static func server(deployers: [PrivateKey]?, _ directory: TemporaryDirectory) throws -> TestServer {
    if let deployers {
      try directory.write(deployers.map { "\($0.publicKey)\n" }.joined(), to: "deployers")
    }
    return try TestServer { options in
      options.dataDirectory = "\(directory.path)/data"
      options.deployersFile = deployers == nil ? nil : "\(directory.path)/deployers"
    }
  }

  private static func deployStatus(_ peer: RawPeer) throws -> RPCError? {
    let status = try peer.bind("system", "deploy_status", [])
    peer.startCall(status, [])
    return peer.next()?.error
  }

  @Test("a client that lists no such feature is not challenged, and may not prove")
  func unasked() throws {
    let server = try TestServer()
    let peer = try RawPeer(port: server.port)
    peer.send(RawPeer.greeting)
    let frame = try #require(peer.next())
    let hello = try Hello(payload: frame.payload.span.bytes)
    #expect(hello.challenge == nil)
    #expect(hello.features.isEmpty)
    let proof = try Proof(of: Self.key(1), to: [], server: "", address: ([127, 0, 0, 1], 1))
    peer.send { proof.encode(to: &$0) }
    let error = peer.next()?.error
    #expect(error?.message.contains("a PROOF that nobody asked for") == true)
    #expect(peer.isClosed())
  }

  @Test("each connection gets a challenge of its own")
  func challenges() throws {
    let server = try TestServer()
    let challenges = try (0..<8).map { _ in try #require(try Self.challenged(server).1.challenge) }
    #expect(Set(challenges).count == 8)
    #expect(challenges.allSatisfy { $0.count == 32 })
  }

  @Test("a proof is answered by an empty PROOF, and cannot be given twice")
  func proven() throws {
    let server = try TestServer()
    let (peer, hello) = try Self.challenged(server)
    let proof = try Self.proof(Self.key(1), hello, server)
    peer.send { proof.encode(to: &$0) }
    let answer = peer.next()
    #expect(answer?.kind == .proof)
    #expect(answer?.payload.isEmpty == true)
    peer.send { proof.encode(to: &$0) }
    #expect(peer.next()?.error?.message.contains("a PROOF that nobody asked for") == true)
    #expect(peer.isClosed())
  }

  @Test("a proof split anywhere holds; one that breaks off, or whose length lies, proves nothing")
  func broken() throws {
    let server = try TestServer { $0.loops = 1 }
    let neighbour = try Neighbour(port: server.port)
    let key = try Self.key(1)
    func attempt() throws -> (RawPeer, [UInt8]) {
      let (peer, hello) = try Self.challenged(server)
      let proof = try Self.proof(key, hello, server)
      return (peer, encoded { proof.encode(to: &$0) })
    }
    let count = try attempt().1.count
    for cut in 1..<count {
      let (peer, bytes) = try attempt()
      peer.send(Array(bytes[..<cut]))
      peer.send(Array(bytes[cut...]))
      #expect(peer.next()?.kind == .proof, "split after \(cut) bytes")
    }
    for cut in 0..<count {
      let (peer, bytes) = try attempt()
      peer.send(Array(bytes[..<cut]))
      peer.endSending()
      #expect(peer.next() == nil, "broken off after \(cut) bytes")
      #expect(peer.ended)
    }
    let length = count - FrameHeader.byteCount
    for lie in [0, length - 1, length + 1, length + 1000, Int(Int32.max), Int(UInt32.max)] {
      var (peer, bytes) = try attempt()
      for byte in 0..<4 { bytes[byte] = UInt8(truncatingIfNeeded: lie >> (8 * byte)) }
      peer.send(bytes)
      peer.endSending()
      while let frame = peer.next() { #expect(frame.kind == .error, "a length of \(lie)") }
      #expect(peer.ended)
    }
    #expect(neighbour.wasLeftAlone())
  }

  @Test("a proof that does not hold, or is for another server, ends the connection; a neighbour goes on")
  func refused() throws {
    let server = try TestServer()
    let neighbour = try RawPeer.greeted(port: server.port)
    let add = try neighbour.bind("math", "add", [.int, .int])
    let changes: [(change: (inout Proof) -> Void, says: String)] = [
      ({ $0.signature[0] ^= 1 }, "the proof of the key does not hold"),
      ({ $0.server = "s2" }, "the proof of the key does not hold"),
      ({ $0.key = [UInt8](repeating: 0, count: 32) }, "the proof of the key does not hold"),
    ]
    for (change, says) in changes {
      let (peer, hello) = try Self.challenged(server)
      var proof = try Self.proof(Self.key(1), hello, server)
      change(&proof)
      peer.send { proof.encode(to: &$0) }
      let error = peer.next()?.error
      #expect(error?.exception == .unauthenticated)
      #expect(error?.message == says)
      #expect(peer.isClosed())
    }
    let (peer, hello) = try Self.challenged(server)
    let elsewhere = try Self.proof(Self.key(1), hello, server, name: "s2", port: server.port ^ 1)
    peer.send { elsewhere.encode(to: &$0) }
    #expect(peer.next()?.error?.message.contains("is for a server 's2' at another address") == true)
    #expect(peer.isClosed())
    neighbour.startCall(add, [2, 3])
    #expect(neighbour.next()?.values == [5])
  }

  @Test("without keys whoever is on this host may deploy")
  func ownHost() throws {
    let directory = TemporaryDirectory()
    let server = try Self.server(deployers: nil, directory)
    #expect(try Self.deployStatus(RawPeer.greeted(port: server.port)) == nil)
  }

  @Test("with keys only those who prove one of them may deploy, wherever they are")
  func deployers() throws {
    let directory = TemporaryDirectory()
    let server = try Self.server(deployers: [Self.key(1), Self.key(2)], directory)
    let error = try Self.deployStatus(RawPeer.greeted(port: server.port))
    #expect(error?.exception == .unauthenticated)
    #expect(error?.message == "whoever deploys to this server must prove a key that it knows")
    for (byte, isKnown) in [(UInt8(1), true), (2, true), (3, false)] {
      let (peer, hello) = try Self.challenged(server)
      let proof = try Self.proof(Self.key(byte), hello, server)
      peer.send { proof.encode(to: &$0) }
      #expect(peer.next()?.kind == .proof)
      let error = try Self.deployStatus(peer)
      #expect((error == nil) == isKnown)
      if let error {
        let fingerprint = try Self.key(byte).publicKey.fingerprint
        #expect(error.message == "the key \(fingerprint) is not among those that may deploy to this server")
      }
    }
  }

  @Test("an empty file of keys lets nobody deploy, and reloading takes a change at once")
  func reload() throws {
    let directory = TemporaryDirectory()
    let server = try Self.server(deployers: [], directory)
    let (peer, hello) = try Self.challenged(server)
    let proof = try Self.proof(Self.key(1), hello, server)
    peer.send { proof.encode(to: &$0) }
    #expect(peer.next()?.kind == .proof)
    #expect(try Self.deployStatus(peer) != nil)
    try directory.write("\(Self.key(1).publicKey)\n", to: "deployers")
    server.server.reload()
    #expect(try Self.deployStatus(peer) == nil)
    // What cannot be read changes nothing.
    try directory.write("rubbish\n", to: "deployers")
    server.server.reload()
    #expect(try Self.deployStatus(peer) == nil)
  }

  @Test("a server whose deployers' keys cannot be read does not start")
  func unreadable() throws {
    #expect(throws: KeyError.self) {
      try TestServer { $0.deployersFile = "/nowhere/deployers" }
    }
  }
}
