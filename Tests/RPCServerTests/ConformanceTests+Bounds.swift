import RPCSystem
import RPCTransport
import Testing

@testable import RPCServer

/// What a connection may take up, and how long.
extension ConformanceTests {
  @Test("a payload of exactly the limit passes, one more is refused with both numbers")
  func frameLimit() throws {
    let server = try TestServer { $0.frameBytes = 8192 }
    let peer = try RawPeer.greeted(port: server.port)
    let echo = try peer.bind("data", "echo", [.bytes])
    // 8 fixed bytes, 1 of the list, 3 of the binary's head.
    let fitting = 8192 - 12
    peer.startCall(echo, [.bytes([UInt8](repeating: 1, count: fitting))])
    #expect(peer.next()?.values?.first?.bytesValue?.count == fitting)
    peer.startCall(echo, [.bytes([UInt8](repeating: 1, count: fitting + 1))])
    let error = peer.next()?.error
    #expect(error?.exception == .resourceExhausted)
    #expect(error?.actual == 8193)
    #expect(error?.limit == 8192)
  }

  @Test("calls in flight are bounded per connection, with numbers")
  func callsInFlight() async throws {
    let server = try TestServer { $0.callsPerConnection = 3 }
    let peer = try RawPeer.greeted(port: server.port)
    let wait = try peer.bind("test", "wait", [])
    for _ in 0..<3 { peer.startCall(wait, []) }
    await server.gate.reached(waiting: 3)
    peer.startCall(wait, [])
    let error = await peer.nextFromTask()?.error
    #expect(error?.exception == .resourceExhausted)
    #expect(error?.executed == .no)
    #expect(error?.actual == 3)
    #expect(error?.limit == 3)
    server.gate.open()
    for _ in 0..<3 { #expect(await peer.nextFromTask()?.values == ["opened"]) }
  }

  @Test("a connection beyond the bound is closed, and room is made when one ends")
  func connectionLimit() throws {
    let server = try TestServer { $0.connections = 2 }
    let first = try RawPeer.greeted(port: server.port)
    do {
      let second = try RawPeer.greeted(port: server.port)
      let third = try RawPeer(port: server.port)
      #expect(third.isClosed())
      _ = second
    }
    // The server learns of the end in its own time: try until it has.
    var admitted = false
    for _ in 0..<1000 where !admitted { admitted = (try? RawPeer.greeted(port: server.port)) != nil }
    #expect(admitted)
    _ = first
  }

  @Test("a peer that says nothing, or half a frame, is sent away; its neighbour is not")
  func silence() throws {
    let clock = ManualClock()
    let server = try TestServer {
      $0.handshakeTimeoutMilliseconds = 10_000
      $0.frameTimeoutMilliseconds = 30_000
      $0.idleTimeoutMilliseconds = 0
      $0.keepaliveMilliseconds = 0
      $0.clock = clock
      $0.loops = 1
    }
    // The server sees a connection and its bytes in its own time: the clock is turned until it has.
    let silent = try RawPeer(port: server.port)
    while silent.hearsNothing(milliseconds: 1) { clock.advance(by: .seconds(1)) }
    #expect(silent.nextLine()?.contains("handshake timeout of 10000 ms") == true)
    #expect(silent.isClosed())
    let half = try RawPeer.greeted(port: server.port)
    half.send([5, 0, 0])
    while half.hearsNothing(milliseconds: 1) { clock.advance(by: .seconds(1)) }
    #expect(half.next()?.error?.message.contains("frame timeout of 30000 ms") == true)
    #expect(half.isClosed())
    let patient = try RawPeer.greeted(port: server.port)
    let add = try patient.bind("math", "add", [.int, .int])
    patient.startCall(add, [1, 1])
    #expect(patient.next()?.values == [2])
  }

  @Test("a peer that does not read its replies is not read from, and gets them all when it does")
  func slowReader() throws {
    let server = try TestServer {
      $0.outputHighWater = 64 * 1024
      $0.loops = 1
    }
    let peer = try RawPeer.greeted(port: server.port)
    let fill = try peer.bind("data", "fill", [.int])
    for id in 0..<200 { peer.send(RawPeer.call(fill, [60_000], callID: UInt64(1000 + id))) }
    let neighbour = try RawPeer.greeted(port: server.port)
    let add = try neighbour.bind("math", "add", [.int, .int])
    neighbour.startCall(add, [4, 4])
    #expect(neighbour.next()?.values == [8])
    for _ in 0..<200 { #expect(peer.next()?.values?.first?.bytesValue?.count == 60_000) }
  }

  @Test(
    "floods of PING and CANCEL are answered or ignored, and calls go on",
    arguments: [FrameKind.ping, .cancel])
  func floods(kind: FrameKind) throws {
    let server = try TestServer { $0.loops = 1 }
    let neighbour = try RawPeer.greeted(port: server.port)
    let add = try neighbour.bind("math", "add", [.int, .int])
    let peer = try RawPeer.greeted(port: server.port)
    peer.send { queue in for id in 0..<50_000 { queue.appendEmptyFrame(kind, callID: UInt64(id)) } }
    neighbour.startCall(add, [1, 2])
    #expect(neighbour.next()?.values == [3])
    if kind == .ping { for id in 0..<50_000 { #expect(peer.next()?.header.callID == UInt64(id)) } }
    peer.startCall(try peer.bind("math", "add", [.int, .int]), [2, 2])
    #expect(peer.next()?.values == [4])
  }

  @Test("a thousand connections that say nothing cost their neighbour nothing")
  func silentCrowd() throws {
    let server = try TestServer { $0.loops = 1 }
    var crowd: [RawPeer] = []
    for _ in 0..<400 { crowd.append(try RawPeer(port: server.port)) }
    let peer = try RawPeer.greeted(port: server.port)
    let add = try peer.bind("math", "add", [.int, .int])
    for _ in 0..<100 {
      peer.startCall(add, [1, 2])
      #expect(peer.next()?.values == [3])
    }
    _ = crowd
  }
}
