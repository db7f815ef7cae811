internal import RPCProcedures
internal import RPCTransport
internal import RPCWire

/// What one loop tells the log, in the server's words. Lines are written by hand into the loop's own buffer,
/// which is handed over when it is full, after a moment, or soon after a warning: executions are logged by
/// the million.
///
/// Executions that would make the very same line, time and all, are one line that says how many.
internal final class LoopLog: TimerTarget {
  private let loop: EventLoop
  private let sink: LogSink?
  private let level: LogOptions.Level
  private let line: LogLine
  private var buffer = ByteQueue()
  private var timestamp = LogTimestamp()
  /// The turn that `timestamp` is of, on the loop's clock.
  private var turn: UInt64 = 0
  /// From the loop's clock to 1970, in nanoseconds; looked up anew with every flush, since clocks are set.
  private var epoch: UInt64 = 0
  private var run = Run()
  private var timer: TimerID?
  private var isUrgent = false
  private var lastFlush: UInt64 = 0

  /// Executions of one procedure by one caller within one millisecond.
  private struct Run {
    var procedure: BoundProcedure?
    /// Held, so that no other caller's label can come to lie at the same place.
    var caller: [UInt8] = []
    var count: UInt64 = 0
  }

  init(loop: EventLoop, sink: LogSink?, level: LogOptions.Level, format: LogOptions.Format) {
    self.loop = loop
    self.sink = sink
    self.level = sink == nil ? .off : level
    line = LogLine(format: format)
    updateEpoch()
  }

  // MARK: Connections

  func connected(_ caller: Caller) {
    guard level >= .info else { return }
    begin(.info, "connection")
    line.word(&buffer, "connection from")
    line.field(&buffer, "client", caller.label)
    end()
  }

  func greeted(_ caller: Caller, dialect: String) {
    guard level >= .info else { return }
    begin(.info, "hello")
    line.field(&buffer, "client", caller.label)
    line.word(&buffer, "speaks")
    line.field(&buffer, "dialect", text: dialect)
    end()
  }

  func disconnected(_ caller: Caller, _ reason: CloseReason) {
    guard level >= .info else { return }
    begin(.info, "disconnection")
    line.field(&buffer, "client", caller.label)
    line.word(&buffer, "disconnected:")
    line.field(&buffer, "reason", text: reason.description)
    end()
  }

  func refusedConnection(_ caller: Caller, _ error: RPCError) {
    guard level >= .warning else { return }
    begin(.warning, "refused connection")
    line.word(&buffer, "refused the connection of")
    line.field(&buffer, "client", caller.label)
    append(error)
    end(urgent: true)
  }

  // MARK: Calls

  /// A call that was executed on the spot, without an exception.
  @inline(__always)
  func executed(_ procedure: BoundProcedure, by caller: Caller) {
    guard level >= .info else { return }
    if run.count > 0, turn == loop.now, run.procedure === procedure, Self.same(run.caller, caller.label) {
      run.count += 1
    } else {
      beginRun(procedure, caller.label)
    }
  }

  /// Whether two arrays are one in memory: equal without looking.
  @inline(__always)
  private static func same(_ left: [UInt8], _ right: [UInt8]) -> Bool {
    left.withUnsafeBufferPointer(\.baseAddress) == right.withUnsafeBufferPointer(\.baseAddress)
  }

  private func beginRun(_ procedure: BoundProcedure, _ caller: [UInt8]) {
    if run.count > 0 {
      // Another turn of the same millisecond makes the same line.
      let before = timestamp.text
      updateTime()
      if run.procedure === procedure, timestamp.text == before, Self.same(run.caller, caller) {
        run.count += 1
        return
      }
      endRun(at: before)
    } else {
      updateTime()
    }
    if run.procedure !== procedure { run.procedure = procedure }
    if !Self.same(run.caller, caller) { run.caller = caller }
    run.count = 1
    armTimer()
  }

  private func endRun(at time: [UInt8]) {
    let count = run.count
    run.count = 0
    guard count > 0, let procedure = run.procedure else { return }
    line.begin(&buffer, time, .info, event: "call")
    line.field(&buffer, "client", run.caller)
    line.field(&buffer, "procedure", procedure.label)
    line.field(&buffer, "outcome", "ok" as StaticString)
    if count > 1 { line.number(&buffer, "count", count, unit: " times") }
    line.end(&buffer)
    if buffer.count >= LogLimits.bufferBytes { handOver() }
  }

  /// A call that took its time.
  func concluded(_ call: ActiveCall, _ result: Result<[UInt8], RPCError>, by caller: Caller, now: UInt64) {
    let duration = (now > call.started ? now - call.started : 0) / 1000
    switch result {
    case .success:
      guard level >= .info else { return }
      begin(.info, "call")
      line.field(&buffer, "client", caller.label)
      line.field(&buffer, "procedure", call.procedure.label)
      line.field(&buffer, "outcome", "ok" as StaticString)
      line.number(&buffer, "us", duration, unit: " us")
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
    line.field(&buffer, "client", caller.label)
    if let procedure { line.field(&buffer, "procedure", procedure.label) }
    if error.exception == .clientNotRegistered { line.word(&buffer, "refused:") }
    append(error)
    if let microseconds { line.number(&buffer, "us", microseconds, unit: " us") }
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
    line.field(&buffer, "outcome", text: error.exception.rawValue)
    line.field(&buffer, "message", text: error.message)
    if let source = error.source {
      line.word(&buffer, "at")
      line.field(&buffer, "source", text: source)
    }
  }

  /// A line that a procedure printed.
  func printed(_ output: ProcedureOutput) {
    guard level >= .info else { return }
    begin(.info, "output")
    line.field(&buffer, "procedure", text: output.procedure.signature.qualifiedName)
    line.field(&buffer, "stream", text: output.stream.rawValue)
    line.field(&buffer, "message", text: output.text)
    end()
  }

  // MARK: Lines

  private func begin(_ level: LogOptions.Level, _ event: StaticString) {
    if run.count > 0 { endRun(at: timestamp.text) }
    updateTime()
    line.begin(&buffer, timestamp.text, level, event: event)
  }

  private func end(urgent: Bool = false) {
    line.end(&buffer)
    if buffer.count >= LogLimits.bufferBytes {
      handOver()
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

  private func updateTime() {
    turn = loop.now
    timestamp.update(loop.now &+ epoch)
  }

  private func updateEpoch() {
    epoch = Syscall.wallNanoseconds() &- Syscall.monotonicNanoseconds()
  }

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
    if run.count > 0 { endRun(at: timestamp.text) }
    handOver()
  }

  private func handOver() {
    if let timer { loop.cancel(timer) }
    timer = nil
    isUrgent = false
    lastFlush = loop.now
    sink?.write(&buffer)
    updateEpoch()
  }
}
