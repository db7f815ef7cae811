import RPCSystem
import RPCTransport
import RPCWire

/// One connection of a raw load: introduces itself, binds the procedure, then answers each REPLY with the
/// next CALL.
final class RawConnection: ConnectionHandler {
  private let connection: Connection
  // Released when the load ends and lets go of its connections.
  private let load: RawLoop
  private let decoder = FrameDecoder(frameBytesLimit: WireLimits.frameBytesMax)
  /// A whole CALL, but for its id.
  private var template = ByteQueue()
  /// When each call in flight was due, by its id modulo the count; 0 where there is none.
  private var starts: [UInt64]
  private var nextID: UInt64 = 2
  private(set) var inFlight = 0

  init(_ connection: Connection, of load: RawLoop) {
    self.connection = connection
    self.load = load
    var count = 1
    // In the open loop as many as may pile up while the server stalls.
    let wanted = load.control.isPaced ? BenchLimits.outstanding : 4 * load.plan.outstanding
    while count < wanted { count *= 2 }
    starts = [UInt64](repeating: 0, count: count)
  }

  func start() throws(SystemError) {
    try connection.start(self)
    let plan = load.plan
    connection.send { queue in
      queue.append(Preface.bytes)
      var hello = Hello(agent: "rpc-bench/1.0", identity: plan.identity)
      hello.frameBytes = WireLimits.frameBytesMax
      hello.encode(to: &queue)
      Bind(
        service: plan.service, procedure: plan.rpc,
        arguments: plan.arguments.map { ValueType(describing: $0) }
      ).encode(to: &queue, callID: 1)
    }
  }

  func close() { connection.close() }

  // MARK: Calls

  /// The closed loop's first calls.
  func fill() {
    connection.send { queue in
      while inFlight < load.plan.outstanding, let start = load.control.next(now: load.loop.now) {
        append(start, to: &queue)
      }
    }
  }

  /// One call of the open loop.
  func start(due: UInt64) {
    guard starts[Int(nextID) & (starts.count - 1)] == 0 else {
      return load.end(
        RPCError(.resourceExhausted, "the server is behind by \(inFlight) calls on one connection"))
    }
    connection.send { queue in append(due, to: &queue) }
  }

  @inline(__always)
  private func append(_ start: UInt64, to queue: inout ByteQueue) {
    let mark = queue.count
    queue.append(template.bytes)
    queue.patch(littleEndian: nextID, at: mark + 8)
    starts[Int(nextID) & (starts.count - 1)] = start
    nextID += 1
    inFlight += 1
  }

  // MARK: Answers

  func received(_ bytes: RawSpan, into output: inout ByteQueue, on connection: Connection) -> Int {
    let now = Clock.now()
    var offset = 0
    do {
      while let header = try decoder.next(in: bytes, at: offset) {
        let end = offset + FrameHeader.byteCount + Int(header.length)
        if header.kind == FrameKind.reply.rawValue {
          answered(header.callID, nil, at: now, &output)
        } else {
          try handle(header, bytes.extracting(offset + FrameHeader.byteCount..<end), at: now, &output)
        }
        offset = end
      }
    } catch {
      load.end(RPCError(.protocolError, "the server broke the protocol: \(error)"))
      return bytes.byteCount
    }
    connection.bytesWanted = decoder.bytesNeeded(in: bytes, at: offset)
    if inFlight == 0 { load.endIfDrained() }
    return offset
  }

  @inline(__always)
  private func answered(_ callID: UInt64, _ error: RPCError?, at now: UInt64, _ output: inout ByteQueue) {
    let slot = Int(truncatingIfNeeded: callID) & (starts.count - 1)
    let start = starts[slot]
    guard start != 0 else {
      return load.end(RPCError(.protocolError, "call \(callID) was answered, but is not in flight"))
    }
    starts[slot] = 0
    inFlight -= 1
    if load.control.counts(start: start, end: now) {
      if let error {
        load.measurements.record(error)
      } else {
        load.measurements.record(now > start ? now - start : 0)
      }
    }
    if !load.control.isPaced, starts[Int(nextID) & (starts.count - 1)] == 0,
      let next = load.control.next(now: now)
    {
      append(next, to: &output)
    }
  }

  private func handle(
    _ header: FrameHeader, _ payload: RawSpan, at now: UInt64, _ output: inout ByteQueue
  ) throws(WireError) {
    switch FrameKind(rawValue: header.kind) {
    case .bound:
      makeTemplate(try Bound(payload: payload).procedureID)
      load.isReady()
    case .error:
      let error = try RPCError(payload: payload)
      // 0 is the connection, 1 our BIND.
      guard header.callID > 1 else { return load.end(error) }
      answered(header.callID, error, at: now, &output)
    case .ping: output.appendEmptyFrame(.pong, callID: header.callID)
    case .goAway: load.end(RPCError(.unavailable, "the server is shutting down"))
    default: break
    }
  }

  private func makeTemplate(_ procedureID: UInt32) {
    let timeout = UInt32(clamping: UInt64(load.plan.timeoutMilliseconds ?? 0) * 1000)
    let mark = CallFrame.begin(
      in: &template, callID: 0, procedureID: procedureID, timeoutMicroseconds: timeout)
    Value.list(load.plan.arguments).encode(to: &template)
    template.endFrame(mark)
  }

  func inputEnded(on connection: Connection) { connection.close() }

  func closed(_ connection: Connection, reason: CloseReason) {
    load.end(RPCError(.unavailable, "the server's connection is gone: \(reason)"))
  }
}
