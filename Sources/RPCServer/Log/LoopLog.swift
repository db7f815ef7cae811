internal import RPCProcedures
internal import RPCSystem
internal import RPCTransport
internal import RPCWire

/// What one loop tells the log, in the server's words. Lines are written by hand into the loop's own buffer,
/// which is handed over when it is full, after a short time, or soon after a warning: executions are logged by
/// the million.
///
/// Executions of one procedure by one caller within a window are one line that says how many; at the level `debug`
/// each has its own.
internal final class LoopLog: TimerTarget {
  private let loop: EventLoop
  private let sink: LogSink?
  private var level: LogOptions.Level
  private let line: LogLine
  private let buffer = LoopCell(ByteQueue())
  private let timestamp = LoopCell(LogTimestamp())
  /// From the loop's clock to 1970, in nanoseconds; looked up again with every flush, since clocks are set.
  private var epoch: Int64 = 0
  private let runs: LoopCell<ExecutionRuns>
  private var timer: TimerID?
  private var isUrgent = false
  private var lastFlush: UInt64 = 0

  init(loop: EventLoop, sink: LogSink?, level: LogOptions.Level, format: LogOptions.Format) {
    self.loop = loop
    self.sink = sink
    self.level = sink == nil ? .off : level
    line = LogLine(format: format)
    runs = LoopCell(ExecutionRuns(windowNanoseconds: level >= .debug ? 0 : LogLimits.windowNanoseconds))
    updateEpoch()
  }

  /// What is logged from now on.
  func setLevel(_ level: LogOptions.Level) {
    guard sink != nil, level != self.level else { return }
    if !runs.value.isEmpty { endRuns() }
    self.level = level
    runs.value = ExecutionRuns(windowNanoseconds: level >= .debug ? 0 : LogLimits.windowNanoseconds)
  }

  // MARK: Connections

  func connected(_ caller: Caller) {
    guard level >= .info else { return }
    begin(.info, "connection")
    line.word(&buffer.value, "connection from")
    line.field(&buffer.value, "client", caller.label)
    end()
  }

  func greeted(_ caller: Caller, dialect: String) {
    guard level >= .info else { return }
    begin(.info, "hello")
    line.field(&buffer.value, "client", caller.label)
    line.word(&buffer.value, "speaks")
    line.field(&buffer.value, "dialect", text: dialect)
    end()
  }

  func proved(_ caller: Caller) {
    guard level >= .info, let key = caller.key else { return }
    begin(.info, "proof")
    line.field(&buffer.value, "client", caller.label)
    line.word(&buffer.value, "has the key")
    line.field(&buffer.value, "key", text: key.fingerprint)
    end()
  }

  func disconnected(_ caller: Caller, _ reason: CloseReason) {
    guard level >= .info else { return }
    begin(.info, "disconnection")
    line.field(&buffer.value, "client", caller.label)
    line.word(&buffer.value, "disconnected:")
    line.field(&buffer.value, "reason", text: reason.description)
    end()
  }

  func refusedConnection(_ caller: Caller, _ error: RPCError) {
    guard level >= .warning else { return }
    begin(.warning, "refused connection")
    line.word(&buffer.value, "refused the connection of")
    line.field(&buffer.value, "client", caller.label)
    append(error)
    end(urgent: true)
  }

  // MARK: Calls

  /// Calls of one procedure that were executed on the spot, without an exception.
  @inline(__always)
  func executed(_ procedure: BoundProcedure, by caller: Caller, times count: UInt64) {
    guard level >= .info else { return }
    if !runs.value.add(procedure, caller, count, at: loop.now) { beginRuns(procedure, caller, count) }
  }

  private func beginRuns(_ procedure: BoundProcedure, _ caller: Caller, _ count: UInt64) {
    if runs.value.isOver(at: loop.now) { endRuns() }
    if caller.lastExecuted !== procedure { caller.remember(procedure, text(procedure, caller)) }
    if runs.value.areCounted {
      runs.value.begin(caller, count, at: loop.now, began: wall(loop.now))
    } else {
      for _ in 0..<count {
        if runs.value.isOver(at: loop.now) { endRuns() }
        runs.value.begin(caller, 1, at: loop.now, began: wall(loop.now))
      }
    }
    armTimer()
  }

  private func endRuns() {
    for run in runs.value.runs {
      timestamp.value.update(run.began)
      line.time(&buffer.value, timestamp.value.text)
      buffer.value.append(run.text)
      if run.count > 1 { line.number(&buffer.value, "count", run.count, unit: " times") }
      line.end(&buffer.value)
    }
    runs.value.removeAll()
    if buffer.value.count >= LogLimits.bufferBytes { submit() }
  }

  /// The line of an execution but for its time and count: the same for every call of a caller that repeats itself.
  private func text(_ procedure: BoundProcedure, _ caller: Caller) -> [UInt8] {
    var text = ByteQueue()
    line.level(&text, .info, event: "call")
    line.field(&text, "client", caller.label)
    line.field(&text, "procedure", procedure.label)
    line.field(&text, "outcome", "ok" as StaticString)
    return text.copy()
  }

  /// A call that took its time.
  func concluded(_ call: ServerCall, _ result: Result<[UInt8], RPCError>, by caller: Caller, now: UInt64) {
    let duration = (now > call.started ? now - call.started : 0) / 1000
    switch result {
    case .success:
      guard level >= .info else { return }
      begin(.info, "call")
      line.field(&buffer.value, "client", caller.label)
      line.field(&buffer.value, "procedure", call.procedure.label)
      line.field(&buffer.value, "outcome", "ok" as StaticString)
      line.number(&buffer.value, "us", duration, unit: " us")
      end()
    case .failure(let error): failed(call.procedure, error, by: caller, microseconds: duration)
    }
  }

  /// A call that was refused or raised.
  func failed(_ procedure: BoundProcedure?, _ error: RPCError, by caller: Caller) {
    failed(procedure, error, by: caller, microseconds: nil)
  }

  private func failed(
    _ procedure: BoundProcedure?, _ error: RPCError, by caller: Caller, microseconds: UInt64?
  ) {
    let level = Self.level(of: error)
    guard self.level >= level else { return }
    begin(level, error.exception == .clientNotRegistered ? "refused call" : "call")
    line.field(&buffer.value, "client", caller.label)
    if let procedure { line.field(&buffer.value, "procedure", procedure.label) }
    if error.exception == .clientNotRegistered { line.word(&buffer.value, "refused:") }
    append(error)
    if let microseconds { line.number(&buffer.value, "us", microseconds, unit: " us") }
    end(urgent: level <= .warning)
  }

  private static func level(of error: RPCError) -> LogOptions.Level {
    switch error.exception {
    // A client's business: it binds again, or asked for something that is not there.
    case .staleBinding: .debug
    case .cancelled, .serviceNotFound, .rpcNotFound, .invalidArguments: .info
    default: .warning
    }
  }

  private func append(_ error: RPCError) {
    line.field(&buffer.value, "outcome", text: error.exception.rawValue)
    line.field(&buffer.value, "message", text: error.message)
    if let source = error.source {
      line.word(&buffer.value, "at")
      line.field(&buffer.value, "source", text: source)
    }
  }

  /// A line that a procedure printed.
  func printed(_ output: ProcedureOutput) {
    guard level >= .info else { return }
    begin(.info, "output")
    line.field(&buffer.value, "procedure", text: output.procedure.signature.qualifiedName)
    line.field(&buffer.value, "stream", text: output.stream.rawValue)
    line.field(&buffer.value, "message", text: output.text)
    end()
  }

  // MARK: Lines

  private func begin(_ level: LogOptions.Level, _ event: StaticString) {
    if !runs.value.isEmpty { endRuns() }
    timestamp.value.update(wall(loop.now))
    line.begin(&buffer.value, timestamp.value.text, level, event: event)
  }

  private func end(urgent: Bool = false) {
    line.end(&buffer.value)
    if buffer.value.count >= LogLimits.bufferBytes {
      submit()
    } else if urgent, !isUrgent {
      isUrgent = true
      let pause = loop.now &- lastFlush
      if pause >= LogLimits.urgentNanoseconds {
        loop.atEndOfTurn { [self] in flush() }
      } else {
        armTimer(after: LogLimits.urgentNanoseconds - pause)
      }
    } else {
      armTimer()
    }
  }

  private func updateEpoch() {
    epoch = SystemClock.wallNanoseconds() &- Int64(clamping: SystemClock.monotonicNanoseconds())
  }

  /// The wall clock at a time of the loop's.
  private func wall(_ now: UInt64) -> Int64 { Int64(clamping: now) &+ epoch }

  // MARK: Handing over

  private func armTimer() {
    if timer == nil { timer = loop.schedule(after: LogLimits.flushNanoseconds, self) }
  }

  private func armTimer(after nanoseconds: UInt64) {
    if let timer { loop.cancel(timer) }
    timer = loop.schedule(after: nanoseconds, self)
  }

  func timerFired(tag: UInt64, on loop: EventLoop) {
    timer = nil
    flush()
  }

  /// Hands everything over, now.
  func flush() {
    if !runs.value.isEmpty { endRuns() }
    submit()
  }

  private func submit() {
    if let timer { loop.cancel(timer) }
    timer = nil
    isUrgent = false
    lastFlush = loop.now
    sink?.write(&buffer.value)
    updateEpoch()
  }
}
