internal import RPCSystem
internal import RPCTransport
internal import RPCWire

/// One worker process seen from the server: the connection to it and the job it has. It speaks the worker
/// dialect and decides nothing: what follows from a job's end is the pool's business.
internal final class WorkerConnection: ConnectionHandler, TimerTarget {
  enum State {
    case idle
    case busy(WorkerJob)
    /// Told to end; it is heard no more.
    case ending
  }

  let id: UInt32
  /// Whose it is.
  let order: WorkerOrder
  private(set) var state = State.idle
  /// The procedure of its latest job: whatever comes out late is put down to that.
  private(set) var latestUnit: WorkerUnit?
  private(set) var callsStarted = 0
  /// Calls after which it is replaced.
  let callsMax: Int
  /// How deep the call is nested that waits for another one; nil while it runs.
  private var waitingDepth: Int?
  /// Units and sources it was told about.
  private var units: Set<UInt32> = []
  private var digests: Set<String> = []
  private var connection: Connection?
  private var callID: UInt64 = 0
  /// Ends the loading of a source that takes too long. A call's deadline is the server's business.
  private var timer: TimerID?
  private let loop: EventLoop
  private let limits: RuntimeLimits
  private weak var pool: WorkerPool?

  init(
    id: UInt32, order: WorkerOrder, descriptor: consuming Descriptor, loop: EventLoop, limits: RuntimeLimits,
    bounds: WorkerLimits,
    pool: WorkerPool
  ) throws(SystemError) {
    self.id = id
    self.order = order
    self.loop = loop
    self.limits = limits
    self.pool = pool
    callsMax = Int.random(in: max(1, bounds.callsPerWorker / 2)...max(1, bounds.callsPerWorker))
    let connection = Connection(adopting: descriptor, on: loop)
    try connection.start(self)
    self.connection = connection
    if order.isProvided { connection.send { order.appendProvision(to: &$0) } }
  }

  func knows(_ unit: WorkerUnit) -> Bool { units.contains(unit.id) }

  /// Its call waits for another one.
  var isWaiting: Bool { waitingDepth != nil }

  var isIdle: Bool { if case .idle = state { true } else { false } }

  // MARK: Work

  /// Gives an idle worker a job: one write, with the source in front where the worker lacks it.
  func start(_ job: WorkerJob) {
    guard isIdle, let connection else { preconditionFailure("only an idle worker takes a job") }
    state = .busy(job)
    job.worker = self
    pool?.launcher.workBegan()
    callsStarted += 1
    latestUnit = job.unit
    callID &+= 1
    let unit = job.unit
    let invocation = job.invocation
    connection.send { queue in
      if invocation == nil || !units.contains(unit.id) {
        unit.appendLoad(
          to: &queue, callID: callID, withSource: digests.insert(unit.key.digest).inserted,
          answered: invocation == nil)
        units.insert(unit.id)
      }
      if let invocation {
        let mark = CallFrame.begin(in: &queue, callID: callID, procedureID: unit.id, timeoutMicroseconds: 0)
        queue.append(invocation.arguments)
        invocation.appendContext(to: &queue)
        queue.endFrame(mark)
      }
    }
    if invocation == nil {
      timer = loop.schedule(after: UInt64(limits.loadMilliseconds) &* 1_000_000, self)
    }
  }

  /// Lets go of sources that no generation needs.
  func forget(units forgotten: [UInt32], digests forgottenDigests: [String]) {
    let known = forgotten.filter { units.remove($0) != nil }
    let sources = forgottenDigests.filter { digests.remove($0) != nil }
    guard !known.isEmpty || !sources.isEmpty, let connection else { return }
    connection.send { queue in
      let mark = WorkerDialect.begin(.forget, callID: 0, in: &queue)
      queue.appendListHeader(count: 2)
      queue.appendListHeader(count: known.count)
      for id in known { queue.appendInt(Int64(id)) }
      queue.appendListHeader(count: sources.count)
      for digest in sources { queue.appendString(digest) }
      queue.endFrame(mark)
    }
  }

  func timerFired(tag: UInt64, on loop: EventLoop) {
    timer = nil
    guard case .busy(let job) = state else { return }
    pool?.workerOverran(self, job)
  }

  // MARK: What it sends

  func received(_ bytes: RawSpan, into output: inout ByteQueue, on connection: Connection) -> Int {
    var offset = 0
    while let header = FrameHeader(bytes, at: offset) {
      let length = Int(header.length)
      // The worker keeps its replies below the limit; a frame above it comes from code that got at the socket.
      guard length <= limits.outputBytes + 64 * 1024 else {
        broke("a frame of \(length) bytes")
        return bytes.byteCount
      }
      let start = offset + FrameHeader.byteCount
      guard start + length <= bytes.byteCount else {
        connection.bytesWanted = FrameHeader.byteCount + length
        break
      }
      take(header, bytes.extracting(start..<start + length))
      guard connection.isOpen else { return bytes.byteCount }
      offset = start + length
    }
    return offset
  }

  private func take(_ header: FrameHeader, _ payload: RawSpan) {
    if header.kind == WorkerDialect.log.rawValue, header.flags.rawValue & WorkerDialect.late != 0 {
      return log(payload, pool?.unit(UInt32(truncatingIfNeeded: header.callID)))
    }
    guard case .busy(let job) = state else { return broke("a frame that nobody asked for") }
    guard header.callID == callID else { return broke("an answer to another call") }
    switch header.kind {
    case FrameKind.reply.rawValue:
      finish(job, .success(payload.withUnsafeBytes { [UInt8]($0) }), replace: header.flags.rawValue & 1 != 0)
    case FrameKind.error.rawValue:
      do {
        let error = try RPCError(payload: payload)
        finish(job, .failure(error), replace: header.flags.rawValue & 1 != 0)
      } catch {
        broke("\(error)")
      }
    case WorkerDialect.log.rawValue: log(payload, job.unit)
    case WorkerDialect.ask.rawValue: ask(payload, job)
    default: broke("a frame of kind \(header.kind)")
    }
  }

  /// - Parameter unit: whose output it is; nil for a late line of a procedure that is no longer deployed.
  private func log(_ payload: RawSpan, _ unit: WorkerUnit?) {
    guard let pool, let unit else { return }
    do {
      var reader = MessagePackReader(payload)
      let count = try reader.readListHeader()
      let stream: ProcedureOutput.Stream =
        switch try reader.readInt() {
        case 1: .standardOutput
        case 2: .standardError
        default: .log
        }
      for _ in 1..<max(count, 1) {
        pool.log(ProcedureOutput(procedure: unit.procedure, stream: stream, text: try reader.readString()))
      }
    } catch {
      broke("\(error)")
    }
  }

  /// The call in progress calls another procedure, and waits.
  private func ask(_ payload: RawSpan, _ job: WorkerJob) {
    let request: (server: String?, procedure: String, arguments: [Value])
    do {
      var reader = MessagePackReader(payload)
      let values = try Value.decode(from: &reader).listValue ?? []
      guard values.count >= 2, let procedure = values[1].stringValue else {
        return answer(
          .failure(RPCError(.invalidArguments, "rpc.call takes a server or None, and 'service.procedure'")))
      }
      request = (values[0].stringValue, procedure, Array(values[2...]))
    } catch {
      return broke("\(error)")
    }
    guard waitingDepth == nil else { return broke("a call beside another one") }
    let asked = callID
    waitingDepth = job.depth
    pool?.workerBeganWaiting(depth: job.depth)
    job.endNested = pool?.call(
      request.procedure, request.arguments, on: request.server, for: job
    ) { [weak self, weak job] result in
      guard let self, case .busy(let current) = state, current === job, callID == asked else { return }
      guard !current.isFinished else { return }
      current.endNested = nil
      stopWaiting()
      answer(result)
    }
    // Its place is free for others, first of all for the one that it waits for.
    if waitingDepth != nil { pool?.startWaiting() }
  }

  private func stopWaiting() {
    guard let depth = waitingDepth.take() else { return }
    pool?.workerEndedWaiting(depth: depth)
  }

  private func answer(_ result: Result<[Value], RPCError>) {
    connection?.send { queue in
      let mark: Int
      switch result {
      case .success(let values):
        mark = WorkerDialect.begin(.answer, callID: callID, in: &queue)
        Value.list(values).encode(to: &queue)
      case .failure(let error):
        mark = WorkerDialect.begin(.answer, flags: 1, callID: callID, in: &queue)
        Value.map([
          .init("exception", .string(error.exception.rawValue)), .init("message", .string(error.message)),
          .init("executed", .int(Int64(error.executed.rawValue))),
        ]).encode(to: &queue)
      }
      queue.endFrame(mark)
    }
  }

  private func finish(_ job: WorkerJob, _ result: Result<[UInt8], RPCError>, replace: Bool) {
    stopTimer()
    stopWaiting()
    state = .idle
    // A load that failed left the unit unknown; and the source may not have become a module.
    if case .failure = result, job.invocation == nil {
      units.remove(job.unit.id)
      digests.remove(job.unit.key.digest)
    }
    if replace { pool?.kill(self) } else if callsStarted >= callsMax { end() }
    // The pool comes first, so that a completion which starts the next call finds this worker free.
    pool?.workerFinished(self, job, result)
  }

  /// Code in the worker wrote to the protocol's socket: nothing it says can be trusted any more.
  private func broke(_ what: String) {
    guard case .busy(let job) = state else {
      pool?.workerMisbehaved(self, nil, what)
      return
    }
    pool?.workerMisbehaved(self, job, what)
  }

  // MARK: Ending

  private func stopTimer() {
    if let timer { loop.cancel(timer) }
    timer = nil
  }

  /// Closes the connection: an idle worker ends by itself then, a busy one has to be killed.
  func end() {
    stopTimer()
    stopWaiting()
    state = .ending
    connection?.close()
    connection = nil
  }

  func inputEnded(on connection: Connection) {
    connection.close()
  }

  func closed(_ connection: Connection, reason: CloseReason) {
    if case .ending = state { return }
    self.connection = nil
    pool?.workerHungUp(self)
  }
}
