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
    #expect(hello.serverProof == nil)
    let proof = try Proof(
      of: Self.key(1), to: [], server: "", address: ([127, 0, 0, 1], 1),
      in: ProofScope(serverKey: Self.key(2).publicKey.bytes))
    peer.send { proof.encode(to: &$0) }
    let error = peer.next()?.error
    #expect(error?.message.contains("a PROOF that nobody asked for") == true)
    #expect(peer.isClosed())
  }

  @Test("a client of version 1.0, whose proof covers no server's key, is told which version it needs")
  func older() throws {
    let server = try TestServer()
    let peer = try RawPeer(port: server.port)
    var hello = Hello(agent: "SimpleRPC/1.0")
    hello.features = [Feature.proof]
    peer.send { queue in
      queue.append(Preface.bytes)
      hello.encode(to: &queue)
    }
    let error = peer.next()?.error
    #expect(error?.exception == .unauthenticated)
    #expect(
      error?.message.contains("use a client of version 1.1 or later") == true, "\(String(describing: error))")
    #expect(peer.isClosed())
  }

  @Test("a client that has no key may ask for the server's alone")
  func nonce() throws {
    let server = try TestServer()
    let peer = try RawPeer(port: server.port)
    var hello = Hello(agent: "test")
    hello.nonce = RandomBytes.challenge()
    peer.send { queue in
      queue.append(Preface.bytes)
      hello.encode(to: &queue)
    }
    let frame = try #require(peer.next())
    let answer = try Hello(payload: frame.payload.span.bytes)
    #expect(answer.challenge == nil)
    #expect(answer.features.isEmpty)
    let proof = try #require(answer.serverProof)
    _ = try proof.key(provenFor: #require(hello.nonce))
    #expect((try? proof.key(provenFor: RandomBytes.challenge())) == nil)
    let add = try peer.bind("math", "add", [.int, .int])
    peer.startCall(add, [2, 3])
    #expect(peer.next()?.values == [5])
  }

  @Test("a nonce below 32 or above 64 bytes breaks the protocol", arguments: [0, 31, 32, 64, 65])
  func nonceBounds(count: Int) throws {
    let server = try TestServer()
    let peer = try RawPeer(port: server.port)
    var hello = Hello(agent: "test")
    hello.nonce = [UInt8](repeating: 1, count: count)
    peer.send { queue in
      queue.append(Preface.bytes)
      hello.encode(to: &queue)
    }
    let answer = peer.next()
    #expect((answer?.kind == .hello) == (32...64).contains(count))
    if let error = answer?.error {
      #expect(error.exception == .protocolError)
      #expect(error.message.contains("a nonce of \(count) bytes, it has 32 to 64"), "\(error)")
    }
  }

  @Test("a proof that an impostor got for its own key proves nothing here")
  func passedOn() throws {
    let server = try TestServer()
    let (peer, hello) = try RawPeer.challenged(server)
    let impostor = PrivateKey.random()
    // The challenge is this server's and so is the address, as with an impostor in between.
    let proof = Proof(
      of: try Self.key(1), to: try #require(hello.challenge), server: "s1",
      address: ([127, 0, 0, 1], server.port), in: ProofScope(serverKey: impostor.publicKey.bytes))
    peer.send { proof.encode(to: &$0) }
    let error = peer.next()?.error
    #expect(error?.exception == .unauthenticated)
    #expect(error?.message.contains("is not of this connection and this server's key") == true)
    #expect(peer.isClosed())
  }

  @Test("a server keeps its key in its data directory; without one it has a new one each time")
  func serverKey() throws {
    let directory = TemporaryDirectory()
    func key(_ path: String?) throws -> [UInt8] {
      let server = try TestServer { $0.dataDirectory = path }
      defer { server.server.stopNow() }
      let found = try #require(try RawPeer.challenged(server).1.serverProof).key
      server.server.stopNow()
      server.server.waitUntilStopped()
      return found
    }
    let first = try key(directory.file("data"))
    #expect(try key(directory.file("data")) == first)
    #expect(try key(directory.file("other")) != first)
    #expect(try key(nil) != key(nil))
    let kept = try PublicKey(parsing: directory.read("data/server-key.pub"))
    #expect(kept.bytes == first)
    try directory.write("rubbish", to: "data/server-key")
    let error = #expect(throws: KeyError.self) { try key(directory.file("data")) }
    #expect(
      error?.message.contains("cannot use the server's own key: \(directory.file("data"))/server-key") == true
    )
    #expect(try directory.read("data/server-key") == "rubbish")
  }

  @Test("each connection gets a challenge of its own")
  func challenges() throws {
    let server = try TestServer()
    let challenges = try (0..<8).map { _ in try #require(try RawPeer.challenged(server).1.challenge) }
    #expect(Set(challenges).count == 8)
    #expect(challenges.allSatisfy { $0.count == 32 })
  }

  @Test("a proof is answered by an empty PROOF, and cannot be given twice")
  func proven() throws {
    let server = try TestServer()
    let (peer, hello) = try RawPeer.challenged(server)
    let proof = try RawPeer.proof(Self.key(1), hello, server)
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
      let (peer, hello) = try RawPeer.challenged(server)
      let proof = try RawPeer.proof(key, hello, server)
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
      ({ $0.signature[0] ^= 1 }, "its signature is not of this connection and this server's key"),
      ({ $0.server = "s2" }, "its signature is not of this connection and this server's key"),
      ({ $0.key = [UInt8](repeating: 0, count: 32) }, "the public key is a point of small order"),
      ({ $0.key = [UInt8](repeating: 255, count: 32) }, "the public key is not in its canonical form"),
    ]
    for (change, says) in changes {
      let (peer, hello) = try RawPeer.challenged(server)
      var proof = try RawPeer.proof(Self.key(1), hello, server)
      change(&proof)
      peer.send { proof.encode(to: &$0) }
      let error = peer.next()?.error
      #expect(error?.exception == .unauthenticated)
      #expect(
        error?.message.hasPrefix("the proof of the key does not hold: \(says)") == true, "\(error as Any)")
      #expect(peer.isClosed())
    }
    let (peer, hello) = try RawPeer.challenged(server)
    let elsewhere = try RawPeer.proof(Self.key(1), hello, server, name: "s2", port: server.port ^ 1)
    peer.send { elsewhere.encode(to: &$0) }
    #expect(peer.next()?.error?.message.contains("is for a server 's2' at another address") == true)
    #expect(peer.isClosed())
    neighbour.startCall(add, [2, 3])
    #expect(neighbour.next()?.values == [5])
  }

  @Test("being on this host gives nobody the right to deploy, or to read a source")
  func ownHost() throws {
    let directory = TemporaryDirectory()
    let server = try Self.server(deployers: nil, directory)
    #expect(try Self.deployStatus(RawPeer.greeted(port: server.port))?.exception == .unauthenticated)
    let (peer, hello) = try RawPeer.challenged(server)
    let proof = try RawPeer.proof(Self.key(1), hello, server)
    peer.send { proof.encode(to: &$0) }
    #expect(peer.next()?.kind == .proof)
    let error = try Self.deployStatus(peer)
    #expect(error?.exception == .unauthenticated)
    #expect(error?.message.contains("--deployers FILE") == true, "\(String(describing: error))")
  }

  @Test("with keys only those who prove one of them may deploy, wherever they are")
  func deployers() throws {
    let directory = TemporaryDirectory()
    let server = try Self.server(deployers: [Self.key(1), Self.key(2)], directory)
    let error = try Self.deployStatus(RawPeer.greeted(port: server.port))
    #expect(error?.exception == .unauthenticated)
    #expect(error?.message == "a key is needed to deploy to this server, one that it knows")
    for (byte, isKnown) in [(UInt8(1), true), (2, true), (3, false)] {
      let (peer, hello) = try RawPeer.challenged(server)
      let proof = try RawPeer.proof(Self.key(byte), hello, server)
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
    let (peer, hello) = try RawPeer.challenged(server)
    let proof = try RawPeer.proof(Self.key(1), hello, server)
    peer.send { proof.encode(to: &$0) }
    #expect(peer.next()?.kind == .proof)
    #expect(try Self.deployStatus(peer) != nil)
    try directory.write("\(Self.key(1).publicKey)\n", to: "deployers")
    server.server.reload()
    #expect(try Self.deployStatus(peer) == nil)
    // A key that is removed counts for nobody any more, on the open connection too.
    try directory.write("# nobody\n", to: "deployers")
    server.server.reload()
    #expect(try Self.deployStatus(peer)?.exception == .unauthenticated)
    try directory.write("\(Self.key(1).publicKey)\n", to: "deployers")
    server.server.reload()
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
