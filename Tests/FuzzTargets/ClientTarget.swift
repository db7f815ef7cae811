import RPCClient
import RPCTransport
import RPCWire

/// All that a server sends to a client.
enum ClientTarget {
  private final class Ticket {
    let number: Int
    var isOver = false
    init(_ number: Int) { self.number = number }
  }

  /// Whatever a server sends and however it is cut, the client does the same: no call ends twice, and what the client
  /// sends is whole frames whose ids grow.
  static func client(_ bytes: [UInt8]) throws(BrokenPromise) {
    guard let first = bytes.first else { return }
    let sent = Array(bytes.dropFirst())
    let whole = try Conversation.run(sent, cut: sent.count)
    let cut = try Conversation.run(sent, cut: min(Int(first), sent.count))
    try promise(whole == cut, "cut at \(first): \(cut), not \(whole)")
  }

  /// A client with five calls of two procedures, and what it did.
  private struct Conversation: ~Copyable {
    var machine: ClientStateMachine<Ticket>
    var trace: [String] = []
    var sent: [UInt8] = []
    let keys: [BindingKey]
    /// Binding again for ever is the owner's to end.
    var rebinds = 0

    static func run(_ bytes: [UInt8], cut: Int) throws(BrokenPromise) -> [String] {
      var conversation = Conversation()
      var input = Array(bytes[..<cut])
      try conversation.receive(&input)
      input += bytes[cut...]
      try conversation.receive(&input)
      try conversation.end()
      return conversation.trace
    }

    init() {
      keys = ["add", "echo"].map {
        BindingKey(service: "m", procedure: $0, argumentTypes: [.int], returnTypes: nil)
      }
      machine = ClientStateMachine(
        to: Topology.Server(name: "s1", host: "127.0.0.1", port: 1), identity: nil, options: ClientOptions(),
        at: 0)
      for number in 0..<5 { begin(Ticket(number)) }
    }

    private func key(_ ticket: Ticket) -> BindingKey { keys[ticket.number % 2] }

    private mutating func begin(_ ticket: Ticket) {
      guard case .bound(let id, _) = machine.way(of: ticket, key(ticket)) else { return takeOutput() }
      send(ticket, id)
    }

    private mutating func takeOutput() {
      sent += machine.output.copy()
      machine.output.removeAll()
    }

    private mutating func send(_ ticket: Ticket, _ id: UInt32) {
      takeOutput()
      var queue = ByteQueue()
      do throws(RPCError) {
        _ = try machine.send(ticket, procedureID: id, timeoutMicroseconds: 0, flags: [], into: &queue) {
          $0.appendListHeader(count: 1)
          $0.appendInt(Int64(ticket.number))
        }
      } catch {
        trace.append("too large \(ticket.number)")
      }
      sent += queue.copy()
    }

    private mutating func receive(_ input: inout [UInt8]) throws(BrokenPromise) {
      var offset = 0
      do {
        while machine.isOpen, let header = try machine.frame(in: input.span.bytes, at: offset) {
          let start = offset + FrameHeader.byteCount
          offset = start + Int(header.length)
          if header.kind == FrameKind.reply.rawValue {
            if let ticket = try machine.reply(header.callID) { try over(ticket, "reply") }
          } else {
            let payload = input.span.bytes.extracting(start..<offset)
            let event = try machine.control(header, payload, at: 0) {
              SocketAddress(ip: "127.0.0.1", port: 1)
            }
            takeOutput()
            try handle(event)
          }
        }
        if machine.isOpen { try machine.checkRest(input.span.bytes.extracting(offset...)) }
      } catch let error as BrokenPromise {
        throw error
      } catch {
        // The words may depend on how much of a foreign answer was there.
        close("broken")
      }
      input.removeFirst(offset)
      if !machine.isOpen { input = [] }
    }

    private mutating func handle(_ event: ClientStateMachine<Ticket>.Event) throws(BrokenPromise) {
      switch event {
      case .handled: break
      case .ready: trace.append("ready")
      case .pong: trace.append("pong")
      case .generation: trace.append("generation")
      case .failed(let ticket, let error, let neverBegan):
        try over(ticket, "\(error.exception) \(neverBegan)")
      case .stale(let ticket):
        trace.append("stale \(ticket.number)")
        rebinds += 1
        if rebinds < 20, !machine.isDrained {
          machine.forget(key(ticket))
          begin(ticket)
        }
      case .bound(let tickets, let id, _):
        trace.append("bound \(tickets.map(\.number)) \(id)")
        for ticket in tickets { send(ticket, id) }
      case .refused(let tickets, let error, let later):
        for ticket in tickets { try over(ticket, "\(error.exception)") }
        rebinds += 1
        if let ticket = later.first, rebinds < 20 { machine.bind(key(ticket), for: later) }
        takeOutput()
      case .goingAway(_, let tickets):
        // Those of one procedure come in their order; which procedure is first depends on the keys that the process has
        // given away before.
        for ticket in tickets.sorted(by: { $0.number < $1.number }) { try over(ticket, "moved") }
      case .ended(let error): close("\(error.exception)")
      }
    }

    private mutating func over(_ ticket: Ticket, _ how: String) throws(BrokenPromise) {
      try promise(!ticket.isOver, "call \(ticket.number) ends twice")
      ticket.isOver = true
      trace.append("\(ticket.number): \(how)")
    }

    private mutating func close(_ why: String) {
      trace.append(why)
      let (begun, notBegun) = machine.end(sent: .max)
      trace.append("left \(begun.map(\.number)) \(notBegun.map(\.number).sorted())")
    }

    private mutating func end() throws(BrokenPromise) {
      try promise(sent.starts(with: Preface.bytes), "no preface")
      var offset = Preface.bytes.count
      var lastID: UInt64 = 0
      while offset < sent.count {
        guard let header = FrameHeader(sent.span.bytes, at: offset),
          let kind = FrameKind(rawValue: header.kind)
        else { throw BrokenPromise("half a header") }
        offset += FrameHeader.byteCount + Int(header.length)
        try promise(offset <= sent.count, "half a frame")
        guard kind == .bind || kind == .call else { continue }
        try promise(header.callID > lastID, "the id \(header.callID) comes behind \(lastID)")
        lastID = header.callID
      }
      trace.append("sent \(sent)")
    }
  }
}
