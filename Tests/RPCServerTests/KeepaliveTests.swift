import RPCSystem
import RPCWire
import Testing

@testable import RPCServer

@Suite("Clients that do not answer any more")
struct KeepaliveTests {
  /// A peer that says this of itself, and the HELLO of the server.
  private static func greeted(_ server: TestServer, keepalive: Int) throws -> (RawPeer, Hello) {
    let peer = try RawPeer(port: server.port)
    peer.send { queue in
      queue.append(Preface.bytes)
      var hello = Hello(agent: "test")
      hello.keepaliveMilliseconds = keepalive
      hello.encode(to: &queue)
    }
    guard let frame = peer.next() else { throw WireError.truncated }
    return (peer, try Hello(payload: frame.payload.span.bytes))
  }

  @Test("the HELLO says how long a client may be silent: 5 s unless told otherwise")
  func hello() throws {
    let server = try TestServer()
    #expect(try Self.greeted(server, keepalive: 0).1.keepaliveMilliseconds == 5_000)
    let quick = try TestServer { $0.keepaliveMilliseconds = 100 }
    #expect(try Self.greeted(quick, keepalive: 0).1.keepaliveMilliseconds == 100)
  }

  @Test("one with a call in flight gets a PING, and its call ends when it does not answer")
  func givenUp() async throws {
    let clock = ManualClock()
    let server = try TestServer { $0.clock = clock }
    let (peer, _) = try Self.greeted(server, keepalive: 5_000)
    let wait = try peer.bind("test", "wait", [])
    peer.startCall(wait, [])
    await server.gate.reached(waiting: 1)
    clock.advance(by: .milliseconds(4_999))
    #expect(peer.hearsNothing(milliseconds: 1))
    clock.advance(by: .milliseconds(1))
    #expect(peer.next()?.kind == .ping)
    clock.advance(by: .seconds(5))
    await server.gate.reached(waiting: 0, cancelled: 1)
    #expect(peer.next() == nil && peer.ended)
  }

  @Test("one that answers its PINGs keeps its call", arguments: [FrameKind.pong, .ping])
  func answers(kind: FrameKind) async throws {
    let clock = ManualClock()
    let server = try TestServer { $0.clock = clock }
    let (peer, _) = try Self.greeted(server, keepalive: 5_000)
    let wait = try peer.bind("test", "wait", [])
    let call = peer.startCall(wait, [])
    await server.gate.reached(waiting: 1)
    var pings = 0
    while pings < 5 {
      clock.advance(by: .seconds(5))
      guard let frame = peer.next() else { break }
      guard frame.kind == .ping else { continue }
      pings += 1
      // Any byte that comes later is a sign of life.
      clock.advance(by: .milliseconds(1))
      peer.send { $0.appendEmptyFrame(kind, callID: frame.header.callID) }
      // The answer has come in once the server has answered what follows it.
      peer.send { Bind(service: "test", procedure: "wait", arguments: []).encode(to: &$0, callID: 1000) }
      while let frame = peer.next(), frame.kind != .bound {}
    }
    #expect(pings == 5)
    server.gate.open()
    while let frame = await peer.nextFromTask() {
      guard frame.kind == .reply else { continue }
      #expect(frame.header.callID == call)
      return
    }
    Issue.record("the call was not answered")
  }

  @Test("one that says nothing of keepalive gets no PING, nor does one without calls in flight")
  func notAsked() async throws {
    let clock = ManualClock()
    let server = try TestServer {
      $0.clock = clock
      $0.idleTimeoutMilliseconds = 0
      $0.loops = 1
    }
    let (silent, _) = try Self.greeted(server, keepalive: 0)
    let wait = try silent.bind("test", "wait", [])
    silent.startCall(wait, [])
    await server.gate.reached(waiting: 1)
    let (idle, _) = try Self.greeted(server, keepalive: 5_000)
    let echo = try idle.bind("text", "echo", [.string])
    idle.startCall(echo, ["x"])
    #expect(idle.next()?.values == ["x"])
    for _ in 0..<10 {
      clock.advance(by: .seconds(60))
      // Both are on one loop, which has seen the clock before it answers.
      idle.startCall(echo, ["y"])
      #expect(idle.next()?.values == ["y"])
      #expect(silent.hearsNothing(milliseconds: 1))
    }
  }
}
