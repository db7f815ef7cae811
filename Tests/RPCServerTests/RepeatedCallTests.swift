import RPCServer
import RPCWire
import TestSupport
import Testing

/// Calls of one closure that come behind one another are answered in one go. Nothing may show it: not in the
/// answers, their order, the counters or the log.
@Suite("Calls of a closure that follow upon each other")
struct RepeatedCallTests {
  /// What a script's frame must be answered with.
  private enum Answer: Equatable {
    case value(Value)
    case error(RPCError.Exception)
    case pong
  }

  @Test(
    "random mixtures, cut anywhere, are answered one by one and in order",
    arguments: 1...20 as ClosedRange<UInt64>)
  func mixtures(seed: UInt64) throws {
    var random = SeededRandom(seed: seed)
    let server = try TestServer()
    let peer = try RawPeer.greeted(port: server.port)
    let add = try peer.bind("math", "add", [.int, .int])
    let echo = try peer.bind("text", "echo", [.string])
    let raise = try peer.bind("test", "raise", [])
    var bytes: [UInt8] = []
    var expected: [(id: UInt64, answer: Answer)] = []
    for step in 0..<400 {
      let id = peer.takeCallID()
      // Long runs of one procedure, now and then something else.
      switch Int.random(in: 0..<30, using: &random) {
      case 0:
        bytes += RawPeer.call(echo, [.string("step \(step)")], callID: id)
        expected.append((id, .value(.list([.string("step \(step)")]))))
      case 1:
        bytes += RawPeer.call(raise, [], callID: id)
        expected.append((id, .error(.executionException)))
      case 2:
        bytes += RawPeer.call(add, ["no number", 1], callID: id)
        expected.append((id, .error(.invalidArguments)))
      case 3:
        bytes += RawPeer.call(9999, [], callID: id)
        expected.append((id, .error(.staleBinding)))
      case 4:
        bytes += frame(FrameKind.ping.rawValue, callID: id)
        expected.append((id, .pong))
      case 5:
        // A call with a deadline of its own.
        bytes += RawPeer.call(add, [.int(Int64(step)), 1], callID: id, timeoutMicroseconds: 5_000_000)
        expected.append((id, .value(.list([.int(Int64(step) + 1)]))))
      default:
        let number = Int64.random(in: -100_000...100_000, using: &random)
        bytes += RawPeer.call(add, [.int(number), .int(Int64(step))], callID: id)
        expected.append((id, .value(.list([.int(number + Int64(step))]))))
      }
    }
    var start = 0
    while start < bytes.count {
      let end = min(bytes.count, start + Int.random(in: 1...2_000, using: &random))
      peer.send(Array(bytes[start..<end]))
      start = end
    }
    for (id, answer) in expected {
      let frame = try #require(peer.next(), "seed \(seed)")
      #expect(frame.header.callID == id, "seed \(seed)")
      switch answer {
      case .value(let value): #expect(frame.values.map { .list($0) } == value, "seed \(seed)")
      case .error(let exception): #expect(frame.error?.exception == exception, "seed \(seed)")
      case .pong: #expect(frame.kind == .pong, "seed \(seed)")
      }
    }
  }

  @Test("a call whose id is still in flight ends the connection, wherever in a run it stands")
  func duplicate() throws {
    let server = try TestServer()
    let peer = try RawPeer.greeted(port: server.port)
    let wait = try peer.bind("test", "wait", [])
    let add = try peer.bind("math", "add", [.int, .int])
    let waiting = peer.startCall(wait, [])
    var bytes: [UInt8] = []
    for _ in 0..<10 { bytes += RawPeer.call(add, [1, 2], callID: peer.takeCallID()) }
    bytes += RawPeer.call(add, [1, 2], callID: waiting)
    bytes += RawPeer.call(add, [1, 2], callID: peer.takeCallID())
    peer.send(bytes)
    for _ in 0..<10 { #expect(peer.next()?.values == [3]) }
    let refusal = try #require(peer.next())
    #expect(refusal.header.callID == 0 && refusal.error?.exception == .protocolError)
    #expect(peer.isClosed())
  }

  @Test("the id 0 is a breach of the protocol also behind calls of the same procedure")
  func zero() throws {
    let server = try TestServer()
    let peer = try RawPeer.greeted(port: server.port)
    let add = try peer.bind("math", "add", [.int, .int])
    peer.send(RawPeer.call(add, [1, 2], callID: 7) + RawPeer.call(add, [1, 2], callID: 0))
    #expect(peer.next()?.values == [3])
    #expect(peer.next()?.error?.exception == .protocolError)
    #expect(peer.isClosed())
  }

  @Test("a peer that reads nothing stops being answered at the high-water mark, and gets every answer later")
  func unread() throws {
    let server = try TestServer { $0.outputHighWater = 4_096 }
    let peer = try RawPeer.greeted(port: server.port)
    let fill = try peer.bind("data", "fill", [.int])
    let ids = (0..<200).map { _ in peer.takeCallID() }
    peer.send(ids.flatMap { RawPeer.call(fill, [3_000], callID: $0) })
    for id in ids {
      let frame = try #require(peer.next())
      #expect(frame.header.callID == id && frame.payload.count > 3_000)
    }
  }

  @Test("each execution is counted, and those that fail as errors")
  func counted() throws {
    let server = try TestServer()
    let peer = try RawPeer.greeted(port: server.port)
    let raise = try peer.bind("test", "raise", [])
    let add = try peer.bind("math", "add", [.int, .int])
    let stats = try peer.bind("system", "stats", [])
    peer.startCall(stats, [])
    let before = try #require(peer.next()?.values?.first)
    var bytes: [UInt8] = []
    for _ in 0..<50 { bytes += RawPeer.call(add, [1, 2], callID: peer.takeCallID()) }
    for _ in 0..<5 { bytes += RawPeer.call(raise, [], callID: peer.takeCallID()) }
    for _ in 0..<50 { bytes += RawPeer.call(add, [1, 2], callID: peer.takeCallID()) }
    peer.send(bytes)
    for _ in 0..<105 { #expect(peer.next() != nil) }
    peer.startCall(stats, [])
    let after = try #require(peer.next()?.values?.first)
    func number(_ value: Value, _ key: String) -> Int64? {
      guard case .map(let entries) = value else { return nil }
      return entries.first { $0.key == key }?.value.intValue
    }
    let calls = try #require(number(after, "calls")) - (try #require(number(before, "calls")))
    let errors = try #require(number(after, "errors")) - (try #require(number(before, "errors")))
    #expect(errors == 5)
    // The first asking for the counters is among them.
    #expect(calls == 101)
  }
}
