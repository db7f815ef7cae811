internal import RPCProcedures
internal import RPCTransport
internal import RPCWire

/// One event loop of a server with everything that lives on it: its connections, its runtimes, its counters,
/// and the catalogue in force. Nothing here is shared with another loop.
internal final class ServerLoop {
  let index: Int
  let loop: EventLoop
  let options: ServerOptions
  let log: LoopLog
  let core: ServerCore
  private(set) var catalogue: Catalogue
  let metrics = LoopCell(LoopMetrics())
  private let procedureMetrics = LoopCell(ContiguousArray<ProcedureMetrics>())
  private var runtimes: [Language: any ProcedureRuntime] = [:]
  private(set) lazy var nestedCaller = ServerNestedCaller(host: self)
  /// What procedures print and log.
  private(set) lazy var procedureOutput = OutputLimiter(loop: loop) { [log] in log.printed($0) }
  private var sessions: [ObjectIdentifier: Session] = [:]
  private(set) var isDraining = false
  private var drained: (() -> Void)?
  /// Calls in flight that this loop may have: its share of the server's.
  private let callsMax: Int
  /// Closures that run on, though their callers have been answered: told to stop, they have not yet.
  private var leftBehind = 0

  var agent: String { core.agent }

  init(index: Int, loop: EventLoop, options: ServerOptions, core: ServerCore, catalogue: Catalogue) {
    self.index = index
    self.loop = loop
    self.options = options
    self.core = core
    self.catalogue = catalogue
    log = core.log.loopLog(on: loop)
    callsMax = max(1, options.callsPerServer / max(1, options.loops))
    loop.busyPollNanoseconds = UInt64(options.busyPollMicroseconds) * 1000
    resizeMetrics()
  }

  // MARK: Connections

  /// Takes a connection that the listener accepted.
  func adopt(_ descriptor: consuming Descriptor, from peer: SocketAddress) {
    let local = SocketAddress.local(of: descriptor.raw)
    let connection = Connection(
      adopting: descriptor, on: loop, limits: options.connectionLimits, budget: core.memory)
    let session = Session(connection: connection, host: self, caller: Caller(peer: peer, local: local))
    sessions[ObjectIdentifier(session)] = session
    metrics.value.connections += 1
    metrics.value.connectionsTotal += 1
    log.connected(session.caller)
    do {
      try session.start()
      if isDraining { session.drain() }
    } catch {
      closed(session, reason: .failed(error))
    }
  }

  /// A peer has introduced itself.
  func greeted(_ session: Session) {
    log.greeted(session.caller, dialect: session.dialect == .json ? "json" : "native")
  }

  func closed(_ session: Session, reason: CloseReason) {
    guard sessions.removeValue(forKey: ObjectIdentifier(session)) != nil else { return }
    metrics.value.connections -= 1
    metrics.value.bytesIn &+= session.connection.bytesReceived
    metrics.value.bytesOut &+= session.connection.bytesSent
    core.connectionEnded()
    log.disconnected(session.caller, reason)
    if isDraining, sessions.isEmpty { finishDraining() }
  }

  // MARK: Calls

  /// The arguments as bytes, checked against the declared types.
  func checkedArguments(
    of procedure: BoundProcedure, _ reader: inout MessagePackReader, caller: Caller
  ) throws(RPCError) -> [UInt8] {
    let signature = procedure.signature
    let start = reader.offset
    do {
      let count = try reader.readListHeader()
      guard count == signature.parameters.count else {
        throw WireError.unexpectedType(
          expected: "\(signature.parameters.count) arguments", found: "\(count)")
      }
      for parameter in signature.parameters { try parameter.type.check(&reader) }
      try reader.finish()
    } catch {
      let overloads =
        (try? catalogue.overloads(service: signature.service, procedure: signature.name)) ?? [procedure]
      throw catalogue.invalidArguments("\(signature.qualifiedName): \(error)", overloads)
    }
    return reader.slice(start..<reader.offset).withUnsafeBytes { Array($0) }
  }

  /// Refuses a call that is one too many, or whose arguments are, with numbers.
  func admit(_ arguments: [UInt8], inFlight: Int, on connection: Connection) throws(RPCError) {
    guard inFlight < options.callsPerConnection else {
      throw RPCError(
        .resourceExhausted, "\(inFlight) calls are in flight on this connection", actual: inFlight,
        limit: options.callsPerConnection, retryAfterMilliseconds: 10)
    }
    // Work counts until it ends: else a flood of calls, each cancelled at once, could start any number.
    let running = metrics.value.callsInFlight + leftBehind
    guard running < callsMax else {
      throw RPCError(
        .resourceExhausted, "\(running) calls are in flight on this loop of the server", actual: running,
        limit: callsMax, retryAfterMilliseconds: 10)
    }
    if let excess = connection.excess(of: arguments.count) {
      throw Self.memoryExceeded(actual: excess.actual, limit: excess.limit, isStranger: connection.isStranger)
    }
  }

  static func memoryExceeded(actual: Int, limit: Int, isStranger: Bool) -> RPCError {
    let whose = isStranger ? "the connections of unknown peers" : "the connections"
    return RPCError(
      .resourceExhausted, "\(whose) would hold \(actual) bytes of memory, the limit is \(limit)",
      actual: actual,
      limit: limit, retryAfterMilliseconds: 100)
  }

  /// When a call must have ended: by its caller's timeout (nanoseconds, 0 for none) or its procedure's own,
  /// whichever is shorter.
  func deadline(of procedure: BoundProcedure, timeout: UInt64) -> UInt64? {
    let own = procedure.procedure.timeoutMilliseconds.map { UInt64($0) * 1_000_000 }
    switch (timeout, own) {
    case (0, nil): return nil
    case (0, let own?): return loop.now + own
    case (_, nil): return loop.now + timeout
    case (_, let own?): return loop.now + min(timeout, own)
    }
  }

  /// Runs a call that was begun; it is concluded now or later.
  func run(_ call: ActiveCall, arguments: [UInt8], session: Session) {
    switch call.procedure.implementation {
    case .immediate(let body):
      call.conclude(Self.runImmediate(body, arguments), on: loop)
    case .suspending(let body): runSuspending(call, body, arguments)
    case .source(let unit): runSource(call, unit, arguments)
    case .system(let index):
      SystemService(host: self, session: session).run(call, index: index, arguments: arguments)
    }
  }

  private static func runImmediate(_ body: NativeBody, _ arguments: [UInt8]) -> Result<[UInt8], RPCError> {
    var output = ByteQueue()
    var reader = MessagePackReader(arguments.span.bytes)
    do {
      try body(&reader, &output)
      return .success(output.copy())
    } catch {
      return .failure(error)
    }
  }

  private func runSuspending(_ call: ActiveCall, _ body: @escaping AsyncBody, _ arguments: [UInt8]) {
    let confined = LoopConfined((call: call, host: self), to: loop)
    let mailbox = loop.mailbox
    let task = Task.detached {
      let result: Result<[UInt8], RPCError>
      do throws(RPCError) {
        result = .success(try await body(arguments))
      } catch {
        result = .failure(error)
      }
      mailbox.post { loop in
        let (call, host) = confined.on(loop)
        if call.isConcluded { host.leftBehind -= 1 }
        call.conclude(result, on: loop)
      }
    }
    call.stop = { [self] _ in
      leftBehind += 1
      task.cancel()
    }
  }

  private func runSource(_ call: ActiveCall, _ unit: SourceUnit, _ arguments: [UInt8]) {
    guard let runtime = runtime(for: unit.procedure.language) else {
      return call.conclude(
        .failure(RPCError(.unavailable, "this server runs no \(unit.procedure.language.rawValue)")), on: loop)
    }
    let loop = loop
    let invocation = Invocation(
      unit: unit, arguments: arguments, deadline: call.deadline, depth: call.depth
    ) { result in
      call.conclude(result, on: loop)
    }
    call.stop = { reason in runtime.cancel(invocation, reason: reason) }
    runtime.invoke(invocation)
  }

  // MARK: Counting

  @inline(__always)
  func countExecutions(_ procedure: BoundProcedure, _ count: UInt64) {
    metrics.value.calls &+= count
    procedureMetrics.value[Int(procedure.id)].calls &+= count
  }

  func countFailure(_ procedure: BoundProcedure?, _ error: RPCError) {
    metrics.value.errors &+= 1
    switch error.exception {
    case .cancelled: metrics.value.cancelled &+= 1
    case .deadlineExceeded: metrics.value.deadlineExceeded &+= 1
    case .clientNotRegistered, .resourceExhausted: metrics.value.refused &+= 1
    default: break
    }
    if let procedure { procedureMetrics.value[Int(procedure.id)].errors &+= 1 }
  }

  func count(_ call: ActiveCall, _ result: Result<[UInt8], RPCError>) {
    countExecutions(call.procedure, 1)
    procedureMetrics.value[Int(call.procedure.id)].nanoseconds &+=
      Syscall.monotonicNanoseconds() &- call.started
    if case .failure(let error) = result { countFailure(call.procedure, error) }
  }

  private func resizeMetrics() {
    while procedureMetrics.value.count < catalogue.procedures.count {
      procedureMetrics.value.append(ProcedureMetrics())
    }
  }

  /// A copy of this loop's counters, those of open connections included.
  func snapshot() -> LoopSnapshot {
    var totals = metrics.value
    for session in sessions.values {
      totals.bytesIn &+= session.connection.bytesReceived
      totals.bytesOut &+= session.connection.bytesSent
    }
    return LoopSnapshot(totals: totals, procedures: Array(procedureMetrics.value))
  }

  // MARK: Generations

  /// Puts a generation in force: the very next call runs its code. Calls in flight keep what they hold.
  func adopt(_ next: Catalogue) {
    let before = catalogue
    catalogue = next
    nestedCaller.update(core.topology)
    resizeMetrics()
    for session in sessions.values { session.announce(generation: next.serial) }
    let kept = Set(next.allProcedures.map(\.procedure.digest))
    let gone = Set(before.allProcedures.map(\.procedure.digest)).subtracting(kept).filter { !$0.isEmpty }
    guard !gone.isEmpty else { return }
    for runtime in runtimes.values { runtime.forget(digests: Array(gone)) }
  }

  /// Loads sources so that calls of them start at once; `completion` gets those that cannot be loaded.
  func prepare(_ units: [SourceUnit], completion: @escaping ([UnitFailure]) -> Void) {
    var waiting = units.count + 1
    var failures: [UnitFailure] = []
    func finishedOne(_ failure: UnitFailure?) {
      if let failure { failures.append(failure) }
      waiting -= 1
      if waiting == 0 { completion(failures) }
    }
    for unit in units {
      guard let runtime = runtime(for: unit.procedure.language) else {
        let error = RPCError(
          .failedPrecondition, "this server runs no \(unit.procedure.language.rawValue)")
        finishedOne(UnitFailure(unit: unit, error: error))
        continue
      }
      runtime.prepare(unit) { result in
        guard case .failure(let error) = result else { return finishedOne(nil) }
        finishedOne(UnitFailure(unit: unit, error: error))
      }
    }
    finishedOne(nil)
  }

  /// Ends the loading of what is no longer to be deployed.
  func cancelPreparing(_ units: [SourceUnit]) {
    for runtime in runtimes.values { runtime.cancelPreparing(units) }
  }

  private func runtime(for language: Language) -> (any ProcedureRuntime)? {
    if let runtime = runtimes[language] { return runtime }
    let runtime = RuntimeFactory.make(language, on: self)
    runtimes[language] = runtime
    return runtime
  }

  // MARK: The end

  /// Takes no more calls; `completion` runs when the last connection is closed.
  func drain(completion: @escaping () -> Void) {
    isDraining = true
    drained = completion
    for session in sessions.values { session.drain() }
    if sessions.isEmpty { finishDraining() }
  }

  private func finishDraining() {
    let completion = drained
    drained = nil
    completion?()
  }

  /// Ends every call and connection, at once.
  func shutDown() {
    for session in sessions.values { session.connection.close() }
    for runtime in runtimes.values { runtime.shutdown() }
    runtimes.removeAll()
    nestedCaller.close()
    procedureOutput.flush()
    log.flush()
  }
}

/// One loop's counters at one moment.
internal struct LoopSnapshot: Sendable {
  var totals = LoopMetrics()
  var procedures: [ProcedureMetrics] = []

  static func + (left: LoopSnapshot, right: LoopSnapshot) -> LoopSnapshot {
    var sum = LoopSnapshot(totals: left.totals + right.totals, procedures: left.procedures)
    for (index, metrics) in right.procedures.enumerated() {
      if index < sum.procedures.count {
        sum.procedures[index] = sum.procedures[index] + metrics
      } else {
        sum.procedures.append(metrics)
      }
    }
    return sum
  }
}
