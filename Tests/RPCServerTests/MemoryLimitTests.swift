import RPCKeys
import RPCServer
import RPCTransport
import RPCWire
import TestSupport
import Testing

@Suite("What all connections may hold together")
struct MemoryLimitTests {
  static let mebibyte = 1024 * 1024

  /// The beginning of a frame: its header, and so much of its payload.
  private static func unfinished(_ kind: FrameKind, _ count: Int) -> [UInt8] {
    var queue = ByteQueue()
    queue.append(littleEndian: UInt64(count + 1) | UInt64(kind.rawValue) << 32)
    queue.append(littleEndian: 7 as UInt64)
    return queue.copy() + [UInt8](repeating: 0xc0, count: count)
  }

  /// Has eight peers send 1 MiB each of something unfinished; returns them, and those that were refused.
  private static func eight(
    sending bytes: [UInt8], _ make: () throws -> RawPeer
  ) throws -> (all: [RawPeer], refused: [RawPeer]) {
    let peers = try (0..<8).map { _ in try make() }
    for peer in peers { peer.send(bytes) }
    return (peers, RawPeer.firstReached(of: peers))
  }

  @Test("a connection that would need more is ended with size and limit, and its neighbours are served")
  func limit() throws {
    let server = try TestServer { $0.memoryBytes = 4 * Self.mebibyte }
    let neighbour = try RawPeer.greeted(port: server.port)
    let add = try neighbour.bind("math", "add", [.int, .int])
    do {
      let (peers, refused) = try Self.eight(sending: Self.unfinished(.call, Self.mebibyte - 1)) {
        try RawPeer.greeted(port: server.port)
      }
      let error = try #require(refused.first?.next()?.error)
      #expect(error.exception == .resourceExhausted && error.executed == .no)
      #expect(error.limit == 4 * Self.mebibyte)
      #expect(try #require(error.actual) > 4 * Self.mebibyte)
      #expect(error.message.contains("the limit is \(4 * Self.mebibyte)"), "\(error)")
      #expect(refused.first?.isClosed() == true)
      withExtendedLifetime(peers) {}
    }
    neighbour.startCall(add, [.int(1), .int(2)])
    #expect(neighbour.next()?.values == [3])

    // What they held is free again when they are gone: a whole frame of as much is served.
    let text = String(repeating: "x", count: Self.mebibyte)
    for _ in 0..<200 {
      let peer = try RawPeer.greeted(port: server.port)
      let echo = try peer.bind("text", "echo", [.string])
      peer.startCall(echo, [.string(text)])
      if peer.next()?.values == [.string(text)] { return }
    }
    Issue.record("the memory is not free again")
  }

  @Test("json lines count as frames do")
  func json() throws {
    let server = try TestServer { $0.memoryBytes = 2 * Self.mebibyte }
    let line = Array("{\"".utf8) + [UInt8](repeating: UInt8(ascii: "x"), count: Self.mebibyte - 100)
    let (_, refused) = try Self.eight(sending: line) { try RawPeer(port: server.port) }
    let peer = try #require(refused.first)
    #expect(peer.nextLine()?.contains("the limit is \(2 * Self.mebibyte)") == true)
    #expect(peer.isClosed())
  }

  @Test("peers that nobody knows share a quarter, one that proves a key has the rest")
  func strangers() throws {
    let directory = TemporaryDirectory()
    let key = try PrivateKey(seed: [UInt8](repeating: 3, count: 32))
    try directory.write("\(key.publicKey)\n", to: "deployers")
    let server = try TestServer {
      $0.memoryBytes = 16 * Self.mebibyte
      $0.deployersFile = "\(directory.path)/deployers"
    }
    let (strangers, refused) = try Self.eight(sending: Self.unfinished(.call, Self.mebibyte - 1)) {
      try RawPeer.greeted(port: server.port)
    }
    let refusal = refused.first?.next()?.error
    #expect(refusal?.limit == 4 * Self.mebibyte)
    #expect(refusal?.message.contains("unknown peers") == true)

    let known = try RawPeer(port: server.port)
    var hello = Hello(agent: "test")
    hello.features = [Feature.proof]
    hello.nonce = RandomBytes.challenge()
    known.send { queue in
      queue.append(Preface.bytes)
      hello.encode(to: &queue)
    }
    let frame = try #require(known.next())
    let answer = try Hello(payload: frame.payload.span.bytes)
    let proof = Proof(
      of: key, to: try #require(answer.challenge), server: "whatever",
      address: ([127, 0, 0, 1], server.port),
      in: ProofScope(serverKey: try #require(answer.serverProof).key))
    known.send { proof.encode(to: &$0) }
    #expect(known.next()?.kind == .proof)
    let echo = try known.bind("text", "echo", [.string])
    let text = String(repeating: "x", count: 2 * Self.mebibyte)
    known.startCall(echo, [.string(text)])
    #expect(known.next()?.values == [.string(text)])
    withExtendedLifetime(strangers) {}
  }

  @Test("what calls in flight were given counts, and one call too many is refused alone")
  func calls() async throws {
    let server = try TestServer { $0.memoryBytes = 4 * Self.mebibyte }
    let peer = try RawPeer.greeted(port: server.port)
    let keep = try peer.bind("test", "keep", [.bytes])
    let bytes = Value.bytes([UInt8](repeating: 1, count: Self.mebibyte - 100))
    for _ in 0..<8 { peer.startCall(keep, [bytes]) }
    // The others wait for the gate: what is answered first was refused.
    let refused = await peer.nextFromTask()
    let error = try #require(refused?.error)
    #expect(refused?.header.callID != 0)
    #expect(
      error.exception == .resourceExhausted && error.executed == .no && error.limit == 4 * Self.mebibyte)
    server.gate.open()
    var served = 0
    for _ in 1..<8 {
      let frame = await peer.nextFromTask()
      if frame?.values == [.int(Int64(Self.mebibyte - 100))] { served += 1 }
    }
    // Those that came when others had ended fitted again.
    #expect((1...7).contains(served))
    peer.startCall(keep, [bytes])
    #expect(await peer.nextFromTask()?.kind == .reply)
  }
}
