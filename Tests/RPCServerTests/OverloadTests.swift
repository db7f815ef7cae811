import RPCServer
import RPCWire
import Testing

@Suite("Peers that ask for more than their share")
struct OverloadTests {
  // MARK: Floods

  @Test(
    "a flood costs who sends it, and no neighbour's call",
    arguments: [FrameKind.ping, .cancel, .pong, .hello, .goAway])
  func flood(kind: FrameKind) throws {
    let server = try TestServer { $0.loops = 1 }
    let neighbour = try Neighbour(port: server.port)
    let peer = try RawPeer.greeted(port: server.port)
    let count = 200_000
    let one =
      switch kind {
      case .hello: Array(RawPeer.greeting.dropFirst(Preface.bytes.count))
      case .goAway: encoded { GoAway(lastCallID: 0, reason: "", drainMilliseconds: 0).encode(to: &$0) }
      default: encoded { $0.appendEmptyFrame(kind, callID: 7) }
      }
    let flood = (0..<1000).flatMap { _ in one }
    // Answers are read on the way: a peer that does not would stop being read.
    let answers = PongCounter(peer)
    try answers.start()
    for _ in 0..<count / 1000 { guard peer.send(flood) else { break } }
    switch kind {
    case .ping: #expect(answers.reached(count))
    case .hello, .goAway: #expect(answers.ended())
    default:
      peer.send { $0.appendEmptyFrame(.ping, callID: 8) }
      #expect(answers.reached(1))
    }
    #expect(neighbour.wasLeftAlone())
  }

  @Test("calls that are cancelled at once count until their work has really ended")
  func rapidReset() async throws {
    let server = try TestServer {
      $0.loops = 1
      $0.callsPerServer = 4
    }
    let peer = try RawPeer.greeted(port: server.port)
    let deaf = try peer.bind("test", "deaf", [])
    for id in 100..<110 {
      peer.send(
        RawPeer.call(deaf, [], callID: UInt64(id))
          + encoded { $0.appendEmptyFrame(.cancel, callID: UInt64(id)) })
    }
    var exceptions: [RPCError.Exception] = []
    for _ in 0..<10 { exceptions.append(try #require(await peer.nextFromTask()?.error).exception) }
    #expect(exceptions.count { $0 == .cancelled } == 4)
    #expect(exceptions.count { $0 == .resourceExhausted } == 6)
    await server.deafGate.reached(waiting: 4)
    server.deafGate.open()
    // Room is made when the work ends: try until the loop has heard of it.
    var answer: RawPeer.Frame?
    for id in 200..<100_000 where answer?.kind != .reply {
      peer.send(RawPeer.call(deaf, [], callID: UInt64(id)))
      answer = await peer.nextFromTask()
    }
    #expect(answer?.values == [])
  }

  // MARK: Time that is not the peer's

  @Test("a frame or line that waits for its turn here is not slow to arrive")
  func waitingIsNotSlow() async throws {
    let server = try TestServer {
      $0.loops = 1
      $0.frameTimeoutMilliseconds = 50
      $0.handshakeTimeoutMilliseconds = 60_000
      $0.outputHighWater = 64 * 1024
    }
    // A line that is not looked at before the one in front of it is answered.
    let lines = try RawPeer(port: server.port)
    func line(_ service: String, _ rpc: String, _ arguments: String) -> String {
      #"{"header":"RPC-REQ","value":{"service":"\#(service)","rpc":"\#(rpc)","arguments":[\#(arguments)]}}"#
        + "\n"
    }
    lines.send(Array((line("test", "wait", "") + line("math", "add", "1,2")).utf8))
    await server.gate.reached(waiting: 1)
    // Frames that are not looked at before the answers in front of them are read.
    let frames = try RawPeer.greeted(port: server.port)
    let fill = try frames.bind("data", "fill", [.int])
    for id in 0..<200 { frames.send(RawPeer.call(fill, [60_000], callID: UInt64(1000 + id))) }
    // A peer that really is slow, and began later, is sent away: so the time is over for the others too.
    for _ in 0..<2 {
      let dawdler = try RawPeer.greeted(port: server.port)
      dawdler.send([5, 0, 0])
      #expect(await dawdler.nextFromTask()?.error?.exception == .deadlineExceeded)
    }
    server.gate.open()
    #expect(await lines.nextLineFromTask()?.contains("opened") == true)
    #expect(await lines.nextLineFromTask()?.contains("[3]") == true)
    for _ in 0..<200 { #expect(await frames.nextFromTask()?.values?.first?.bytesValue?.count == 60_000) }
  }

  // MARK: Sizes of replies

  @Test("a reply of exactly what the caller takes goes out, a larger one is an error that says so")
  func replyLimit() throws {
    let server = try StrictnessTests.server.get()
    // A HELLO that asks for less than 4096 gets 4096.
    for asked in [0, 1, 4096] {
      let peer = try RawPeer(port: server.port)
      peer.send(Preface.bytes)
      peer.send { queue in
        var hello = Hello(agent: "test")
        hello.frameBytes = asked
        hello.encode(to: &queue)
      }
      #expect(peer.next()?.kind == .hello)
      let fill = try peer.bind("data", "fill", [.int])
      // 1 byte of the list, 3 of the binary's head.
      peer.startCall(fill, [4092])
      #expect(peer.next()?.payload.count == 4096)
      peer.startCall(fill, [4093])
      let error = peer.next()?.error
      #expect(error?.exception == .resourceExhausted)
      #expect(error?.executed == .yes)
      #expect(error?.actual == 4097)
      #expect(error?.limit == 4096)
    }
  }

  @Test("calls in flight are bounded on the whole server, with numbers, and room is made when they end")
  func callsPerServer() async throws {
    let server = try TestServer {
      $0.callsPerServer = 3
      $0.loops = 1
    }
    let first = try RawPeer.greeted(port: server.port)
    let second = try RawPeer.greeted(port: server.port)
    let wait = try first.bind("test", "wait", [])
    _ = try second.bind("test", "wait", [])
    for _ in 0..<2 { first.startCall(wait, []) }
    second.startCall(wait, [])
    await server.gate.reached(waiting: 3)
    second.startCall(wait, [])
    let error = await second.nextFromTask()?.error
    #expect(error?.exception == .resourceExhausted)
    #expect(error?.executed == .no)
    #expect(error?.actual == 3)
    #expect(error?.limit == 3)
    #expect(error?.retryAfterMilliseconds != nil)
    server.gate.open()
    for peer in [first, first, second] { #expect(await peer.nextFromTask()?.values == ["opened"]) }
    second.startCall(wait, [])
    #expect(await second.nextFromTask()?.values == ["opened"])
  }
}
