import Glibc
import RPCServer
import RPCSystem
import RPCTransport
import RPCWire
import TestSupport
import Testing

@testable import RPCClient

/// The client's side of the protocol without its sockets and timers, against the server's.
@Suite("The client's state machine")
struct StateMachineTests {
  private final class Ticket {
    let number: Int
    init(_ number: Int) { self.number = number }
  }

  /// Bytes to and from a real server, in pieces of any size.
  private final class Wire {
    private let descriptor: Int32

    init(port: Int) throws {
      guard let address = SocketAddress(ip: "127.0.0.1", port: port) else { throw FakeServer.Failure("port") }
      descriptor = try Socket.connect(to: address).release()
      _ = fcntl(descriptor, F_SETFL, 0)
      var writable = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
      poll(&writable, 1, 20_000)
    }

    deinit { close(descriptor) }

    func write(_ bytes: [UInt8]) {
      var rest = bytes[...]
      while !rest.isEmpty {
        let count = rest.withUnsafeBytes { send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
        if count <= 0 { return }
        rest = rest.dropFirst(count)
      }
    }

    func read(atMost most: Int) -> [UInt8] {
      var bytes = [UInt8](repeating: 0, count: most)
      let count = recv(descriptor, &bytes, most, 0)
      return Array(bytes.prefix(max(0, count)))
    }
  }

  @Test("against the server's own side: any interleaving, cut anywhere", arguments: 1...8)
  func againstServer(seed: UInt64) throws {
    let server = try RealServerTests.server(named: "a")
    defer { server.stopNow() }
    var generator = SeededRandom(seed: seed)
    let wire = try Wire(port: server.port)
    var machine = ClientStateMachine<Ticket>(
      to: .init(name: "s1", host: "127.0.0.1", port: UInt16(server.port)), identity: nil,
      options: ClientOptions(), at: 0)
    let keys = [
      BindingKey(service: "math", procedure: "add", argumentTypes: [.int, .int], returnTypes: nil),
      BindingKey(service: "math", procedure: "divide", argumentTypes: [.int, .int], returnTypes: nil),
      BindingKey(service: "math", procedure: "missing", argumentTypes: [.int, .int], returnTypes: nil),
    ]
    let count = 300
    var output: [UInt8] = []
    var input: [UInt8] = []
    var answers: [Int: String] = [:]
    var begun = 0

    func expected(_ number: Int) -> String {
      switch number % 3 {
      case 0: "\([Value.int(Int64(number + 1))])"
      case 1: number % 2 == 0 ? "ExecutionException" : "\([Value.int(Int64(number)), .int(0)])"
      default: "RPCNotFound"
      }
    }
    func send(_ ticket: Ticket, _ id: UInt32) throws {
      output += machine.output.copy()
      machine.output.removeAll()
      var queue = ByteQueue()
      let other: Int64 = ticket.number % 3 == 1 && ticket.number % 2 == 0 ? 0 : 1
      _ = try machine.send(ticket, procedureID: id, timeoutMicroseconds: 0, flags: [], into: &queue) {
        $0.appendListHeader(count: 2)
        $0.appendInt(Int64(ticket.number))
        $0.appendInt(other)
      }
      output += queue.copy()
    }
    func begin(_ ticket: Ticket) throws {
      if case .bound(let id, _) = machine.way(of: ticket, keys[ticket.number % 3]) { try send(ticket, id) }
    }
    func over(_ ticket: Ticket, _ how: String) {
      #expect(answers.updateValue(how, forKey: ticket.number) == nil, "\(ticket.number) ended twice")
    }
    func handle(_ event: ClientStateMachine<Ticket>.Event) throws {
      switch event {
      case .failed(let ticket, let error, _): over(ticket, error.exception.rawValue)
      case .bound(let tickets, let id, _): for ticket in tickets { try send(ticket, id) }
      case .refused(let tickets, let error, let later):
        for ticket in tickets { over(ticket, error.exception.rawValue) }
        if let ticket = later.first { machine.bind(keys[ticket.number % 3], for: later) }
      case .handled, .ready, .pong, .generation: break
      case .stale, .goingAway, .ended: Issue.record("\(event)")
      }
    }

    while answers.count < count {
      // A few more calls, a few more bytes out, a few more in.
      for _ in 0..<Int.random(in: 0...8, using: &generator) where begun < count {
        try begin(Ticket(begun))
        begun += 1
      }
      output += machine.output.copy()
      machine.output.removeAll()
      let size = Int.random(in: 0...max(0, min(output.count, 200)), using: &generator)
      let isLast = begun == count || Bool.random(using: &generator)
      wire.write(Array(output.prefix(isLast ? output.count : size)))
      output.removeFirst(isLast ? output.count : size)
      guard isLast else { continue }
      // Something is owed: what was begun is not all answered.
      if answers.count < begun {
        let more = wire.read(atMost: Int.random(in: 1...100, using: &generator))
        guard !more.isEmpty else {
          Issue.record("the server closed the connection")
          return
        }
        input += more
      }
      var offset = 0
      while let header = try machine.frame(in: input.span.bytes, at: offset) {
        let start = offset + FrameHeader.byteCount
        offset = start + Int(header.length)
        if header.kind == FrameKind.reply.rawValue {
          let values = try decodeValues(input.span.bytes.extracting(start..<offset))
          if let ticket = try machine.reply(header.callID) { over(ticket, "\(values)") }
        } else {
          try handle(
            machine.control(header, input.span.bytes.extracting(start..<offset), at: 0) { nil })
        }
      }
      input.removeFirst(offset)
    }
    for number in 0..<count { #expect(answers[number] == expected(number)) }
    #expect(machine.end(sent: .max).begun.isEmpty)
  }

  // MARK: Keepalive

  private static let second: UInt64 = 1_000_000_000

  @Test(
    "a PING is due after 5 s of silence with calls in flight, and 5 s more are the end; any byte begins again"
  )
  func keepalive() {
    var keepalive = Keepalive(ClientOptions())
    keepalive.idleSilence = 30 * Self.second
    // Nothing is set before the server has answered.
    let isEarly = keepalive.becameBusy(at: Self.second)
    #expect(!isEarly)
    let never = keepalive.nextDue(lastReceived: Self.second, isOwed: false, isSet: false)
    #expect(never == 31 * Self.second)
    // A call begins at 10 s: from then on.
    let isNew = keepalive.becameBusy(at: 10 * Self.second)
    #expect(isNew)
    let due = keepalive.nextDue(lastReceived: Self.second, isOwed: true, isSet: true)
    #expect(due == 15 * Self.second)
    func step(_ now: UInt64, received: UInt64) -> String {
      switch keepalive.step(at: now, lastReceived: received, isOwed: true) {
      case .wait: return "wait"
      case .ping:
        keepalive.pinged(7, at: now)
        return "ping"
      case .timedOut(let after): return "give up after \(after / Self.second) s"
      }
    }
    #expect(step(15 * Self.second - 1, received: Self.second) == "wait")
    #expect(step(15 * Self.second, received: 11 * Self.second) == "wait")
    #expect(step(16 * Self.second, received: 11 * Self.second) == "ping")
    #expect(step(21 * Self.second - 1, received: 11 * Self.second) == "wait")
    #expect(step(21 * Self.second, received: 11 * Self.second) == "give up after 5 s")
    // A byte, though no PONG.
    #expect(step(21 * Self.second, received: 20 * Self.second) == "wait")
    #expect(step(25 * Self.second, received: 20 * Self.second) == "ping")
    let isOurs = keepalive.ponged(7)
    #expect(isOurs)
    #expect(step(26 * Self.second, received: 26 * Self.second) == "wait")
  }
}
