import RPCProcedures
import RPCSystem
import RPCTransport
import RPCWire
import TestSupport
import Testing

@testable import RPCServer

@Suite("Requests and answers that are long")
struct LongRequestTests {
  /// More than is decoded on the loop.
  private static let many = BoundProcedure.spotBytes

  private static func line(_ service: String, _ rpc: String, _ argument: String, id: Int? = nil) -> [UInt8] {
    let fields = #""service":"\#(service)","rpc":"\#(rpc)","arguments":[\#(argument)]"#
    return Array(
      (#"{"header":"RPC-REQ","value":{"# + fields + (id.map { #","id":\#($0)"# } ?? "") + "}}\n").utf8)
  }

  private static func numbers(_ count: Int) -> String {
    "[" + String(repeating: "1,", count: count - 1) + "1]"
  }

  // MARK: Lines

  /// A line of the model test, and what its answer holds.
  private struct Line {
    var bytes: [UInt8]
    var id: Int?
    var answer: String
  }

  private static func randomLine(_ random: inout SeededRandom, id: Int) -> Line {
    let id = random.below(2) == 0 ? id : nil
    // The line alone is long, or what is made of it too.
    let list = numbers((random.below(3) == 0 ? many : many / 2) + random.below(100))
    switch random.below(8) {
    case 0, 1:
      return Line(bytes: line("math", "add", "1,\(id ?? 1)", id: id), id: id, answer: "[\((id ?? 1) + 1)]")
    case 2, 3: return Line(bytes: line("any", "echo", list, id: id), id: id, answer: "[\(list)]")
    case 4: return Line(bytes: line("math", "add", list, id: id), id: id, answer: "InvalidArguments")
    case 5: return Line(bytes: line("none", "none", list, id: id), id: id, answer: "ServiceNotFound")
    case 6:
      return Line(bytes: line("list", "sum", list, id: id), id: id, answer: "[\((list.utf8.count - 1) / 2)]")
    default:
      var bytes = line("any", "echo", list, id: id)
      bytes.removeLast(3)
      return Line(bytes: bytes + [UInt8(ascii: "\n")], id: nil, answer: "ProtocolError")
    }
  }

  /// Reads the answers to lines, each of which must come once: one without an id in its turn.
  private static func expect(_ lines: [Line], from peer: RawPeer) async throws {
    var waiting = Array(lines.indices)
    while !waiting.isEmpty {
      let text = try #require(await peer.nextLineFromTask())
      let position = waiting.firstIndex { index in
        lines[index].id.map { text.contains(#""id":\#($0)"# + ",") } ?? !text.contains(#""id":"#)
      }
      let index = waiting.remove(at: try #require(position, "\(text.prefix(200))"))
      #expect(text.contains(lines[index].answer), "\(text.prefix(200))")
      let earlier = waiting.filter { $0 < index }
      #expect(earlier.allSatisfy { lines[$0].id != nil } && (lines[index].id != nil || earlier.isEmpty))
    }
  }

  @Test(
    "lines of every length are answered once, in their turn, however they come",
    arguments: 1...3 as ClosedRange<UInt64>)
  func model(seed: UInt64) async throws {
    let server = try TestServer { $0.loops = 1 }
    var random = SeededRandom(seed: seed)
    let peers = try (0..<2).map { _ in try RawPeer(port: server.port) }
    var id = 0
    for _ in 0..<4 {
      var sent: [[Line]] = []
      for peer in peers {
        let lines = (0..<1 + random.below(4)).map { _ in
          id += 1
          return Self.randomLine(&random, id: id)
        }
        let bytes = lines.flatMap(\.bytes)
        let cut = random.below(bytes.count)
        peer.send(Array(bytes[..<cut]))
        peer.send(Array(bytes[cut...]))
        sent.append(lines)
      }
      for (peer, lines) in zip(peers, sent) { try await Self.expect(lines, from: peer) }
    }
  }

  @Test("a long line that is the last and has no end is answered, and then the connection ends")
  func halfClose() async throws {
    let server = try TestServer()
    let peer = try RawPeer(port: server.port)
    let list = Self.numbers(Self.many)
    peer.send(Self.line("any", "echo", list, id: 1) + Self.line("any", "echo", list).dropLast())
    peer.endSending()
    #expect(await peer.nextLineFromTask()?.contains(#""id":1,"return-values":[\#(list)]"#) == true)
    #expect(await peer.nextLineFromTask()?.contains("[\(list)]") == true)
    #expect(peer.isClosed())
  }

  /// Has a call of `any.hold` occupy the thread beside the only loop; returns its peer.
  private static func occupied(_ server: TestServer) throws -> RawPeer {
    let peer = try RawPeer.greeted(port: server.port)
    let hold = try peer.bind("any", "hold", [.any])
    peer.startCall(hold, [.list([Value](repeating: .int(1), count: many + 1))])
    // Once this is answered the call has begun.
    peer.send { $0.appendEmptyFrame(.ping, callID: 0) }
    #expect(peer.next()?.kind == .pong)
    return peer
  }

  /// Asks a server something until it holds so many bytes, or no more than that.
  private static func wait(_ server: TestServer, until isReached: (Int) -> Bool) throws {
    let peer = try RawPeer.greeted(port: server.port)
    for _ in 0..<100_000 where !isReached(server.server.core.memory.heldBytes) {
      peer.send { $0.appendEmptyFrame(.ping, callID: 0) }
      _ = try #require(peer.next())
    }
    #expect(isReached(server.server.core.memory.heldBytes), "\(server.server.core.memory.heldBytes)")
  }

  @Test("peers that go away while their lines are being decoded leave nothing behind")
  func closes() throws {
    let server = try TestServer { $0.loops = 1 }
    let holder = try Self.occupied(server)
    let line = Self.line("any", "echo", Self.numbers(Self.many))
    let before = server.server.core.memory.heldBytes
    do {
      let peers = try (0..<10).map { _ in try RawPeer(port: server.port) }
      for peer in peers { peer.send(line) }
      // Each has a copy away besides what it keeps.
      try Self.wait(server) { $0 - before > 25 * line.count }
    }
    server.latch.signal()
    #expect(holder.next()?.values == [.int(Int64(Self.many + 1))])
    try Self.wait(server) { $0 == 0 }
  }

  @Test("a server that stops answers the long lines that it has")
  func drain() async throws {
    let server = try TestServer { $0.loops = 1 }
    let holder = try Self.occupied(server)
    let before = server.server.core.memory.heldBytes
    let line = Self.line("any", "echo", Self.numbers(Self.many), id: 5)
    let peer = try RawPeer(port: server.port)
    peer.send(line)
    try Self.wait(server) { $0 - before > 5 * line.count / 2 }
    server.server.beginStopping()
    #expect(holder.next()?.kind == .goAway)
    server.latch.signal()
    let answer = await peer.nextLineFromTask()
    #expect(
      answer?.contains("Unavailable") == true && answer?.contains(#""id":5"#) == true, "\(answer ?? "")")
    #expect(peer.isClosed())
    #expect(holder.next()?.values == [.int(Int64(Self.many + 1))])
    #expect(holder.isClosed())
  }

  // MARK: Frames

  @Test("a long call keeps nobody waiting, can be cancelled, and its deadline counts from when it came")
  func aside() async throws {
    let server = try TestServer { $0.loops = 1 }
    let peer = try Self.occupied(server)
    let neighbour = try RawPeer.greeted(port: server.port)
    let add = try neighbour.bind("math", "add", [.int, .int])
    neighbour.startCall(add, [1, 2])
    #expect(neighbour.next()?.values == [3])

    let echo = try peer.bind("any", "echo", [.any])
    let long = Value.list([Value](repeating: .int(1), count: Self.many + 1))
    let late = peer.startCall(echo, [long], timeoutMicroseconds: 1000)
    let missed = peer.next()
    #expect(missed?.header.callID == late && missed?.error?.exception == .deadlineExceeded)
    let cancelled = peer.startCall(echo, [long])
    peer.send { $0.appendEmptyFrame(.cancel, callID: cancelled) }
    let ended = peer.next()
    #expect(ended?.header.callID == cancelled && ended?.error?.exception == .cancelled)
    peer.startCall(add, [2, 2])
    #expect(peer.next()?.values == [4])

    server.latch.signal()
    #expect(peer.next()?.values == [.int(Int64(Self.many + 1))])
    peer.startCall(echo, [long])
    #expect(peer.next()?.values == [long])
  }

  @Test("long arguments are checked as short ones", arguments: [1, BoundProcedure.spotBytes + 1])
  func checks(count: Int) async throws {
    let server = try TestServer()
    let peer = try RawPeer.greeted(port: server.port)
    let sum = try peer.bind("list", "sum", [.list(.int)])
    peer.startCall(sum, [.list([Value](repeating: .int(2), count: count))])
    #expect(await peer.nextFromTask()?.values == [.int(Int64(2 * count))])
    let echo = try peer.bind("any", "echo", [.any])
    for (procedure, value, name) in [
      (sum, Value.list([Value](repeating: .int(2), count: count) + [.string("x")]), "list.sum"),
      (echo, .list([Value](repeating: .int(2), count: count)), "any.echo"),
    ] {
      // Two arguments where one is declared are wrong for both.
      peer.startCall(procedure, procedure == sum ? [value] : [value, value])
      let error = try #require(await peer.nextFromTask()?.error)
      #expect(error.exception == .invalidArguments && error.executed == .no)
      #expect(error.message.contains(name), "\(error.message)")
    }
  }
}

extension SeededRandom {
  fileprivate mutating func below(_ bound: Int) -> Int { .random(in: 0..<bound, using: &self) }
}
