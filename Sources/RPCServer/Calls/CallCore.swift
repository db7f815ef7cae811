internal import RPCNetwork
internal import RPCProcedures
internal import RPCSystem
internal import RPCTransport
internal import RPCWire

/// What happens to every call, whichever dialect it came in: find, authorise, admit, run, count, log. One for each loop.
///
/// A closure's call in the native dialect is answered where its frame is read, which repeats none of the decisions
/// that are here: the dialect asks `authorise` and counts and logs through this.
internal final class CallCore {
  // The loop owns its core: a reference that is not counted costs the hot path nothing.
  unowned(unsafe) let host: ServerLoop
  /// Calls in flight that this loop may have: its share of the server's.
  private let callsMax: Int
  /// Closures that run on, though their callers have been answered: told to stop, they have not yet.
  private var leftBehind = 0
  /// The call whose closure runs just now.
  let spot = LoopCell(SpotCall())
  private var offer: RunningCallOffer?

  /// On the loop's thread.
  init(host: ServerLoop) {
    self.host = host
    callsMax = max(1, host.options.callsPerServer / max(1, host.options.loops))
    offer = RunningCallOffer(self)
  }

  deinit { offer?.end() }

  static let draining = RPCError(.unavailable, "the server is shutting down", executed: .no)

  // MARK: Find and authorise

  /// The overloads of a procedure that the caller may call.
  ///
  /// - Throws: `ServiceNotFound`, `RPCNotFound` or `ClientNotRegistered`.
  func overloads(
    service: String, procedure: String, for connection: ServerConnection, as token: TokenCaller? = nil
  ) throws(RPCError) -> [BoundProcedure] {
    let overloads = try host.catalogue.overloads(service: service, procedure: procedure)
    try authorise(overloads[0], for: connection, as: token)
    return overloads
  }

  /// - Parameter token: who calls, where the request says so by a token rather than the connection.
  func authorise(
    _ procedure: BoundProcedure, for connection: ServerConnection, as token: TokenCaller?
  ) throws(RPCError) {
    guard let token else { return try authorise(procedure, for: connection) }
    guard token.allows(service: procedure.service, in: host.catalogue) else {
      throw notAllowed(procedure, token.caller)
    }
  }

  /// The overload that takes these types, which the caller may call. Access is decided before types are looked at.
  /// A server may find all of them: which of its procedures calls is known with the call.
  func find(
    service: String, procedure: String, arguments: [ValueType], returns: [ValueType]?,
    for connection: ServerConnection
  ) throws(RPCError) -> BoundProcedure {
    if connection.nested == nil { _ = try overloads(service: service, procedure: procedure, for: connection) }
    return try host.catalogue.find(
      service: service, procedure: procedure, arguments: arguments, returns: returns)
  }

  @inline(__always)
  func authorise(_ procedure: BoundProcedure, for connection: ServerConnection) throws(RPCError) {
    guard connection.allows(service: procedure.service, in: host.catalogue) else {
      throw notAllowed(procedure, connection)
    }
  }

  /// - Parameter caller: the service whose procedure calls, where one does.
  func notAllowed(
    _ procedure: BoundProcedure, _ connection: ServerConnection, to caller: String? = nil
  ) -> RPCError {
    let service = procedure.signature.service
    if let nested = connection.nested {
      return RPCError(
        .clientNotRegistered,
        caller.map { nested.refusal(of: service, to: $0, in: host.catalogue) }
          ?? "a server's calls of the service '\(service)' say which service makes them")
    }
    if let caller {
      return RPCError(
        .clientNotRegistered,
        "the service '\(caller)' calls '\(service)' by a connection whose key is not known as a server's here: "
          + "deploy again to all servers, so that they learn each other's keys")
    }
    return notAllowed(procedure, connection.caller)
  }

  private func notAllowed(_ procedure: BoundProcedure, _ caller: Caller) -> RPCError {
    RPCError(
      .clientNotRegistered,
      caller.refusal(
        of: procedure.signature.service, in: host.catalogue, isDeployer: host.core.deployers.contains(caller))
    )
  }

  /// A mismatch of arguments names every signature that would be right.
  func explained(_ error: RPCError, _ procedure: BoundProcedure) -> RPCError {
    guard error.exception == .invalidArguments else { return error }
    let signature = procedure.signature
    let overloads =
      (try? host.catalogue.overloads(service: signature.service, procedure: signature.name)) ?? [procedure]
    return host.catalogue.invalidArguments("\(signature.qualifiedName): \(error.message)", overloads)
  }

  /// Checks arguments against the declared types.
  private static func check(_ arguments: [UInt8], _ signature: Signature) throws(RPCError) {
    var reader = MessagePackReader(arguments.span.bytes)
    do throws(WireError) {
      let count = try reader.readListHeader()
      guard count == signature.parameters.count else {
        throw WireError.unexpectedType(
          expected: "\(signature.parameters.count) arguments", found: "\(count)")
      }
      for parameter in signature.parameters { try parameter.type.check(&reader) }
      try reader.finish()
    } catch {
      throw RPCError(.invalidArguments, "\(error)")
    }
  }

  // MARK: Admit and run

  /// Begins a call: it is answered through `sink`, now or later.
  ///
  /// - Parameters:
  ///   - id: unique among the connection's calls in flight.
  ///   - isChecked: the arguments are known to fit the procedure.
  ///   - timeoutNanoseconds: the caller's, 0 for none.
  ///   - received: when the call came, on the loop's clock, where that was before this turn.
  ///   - caller: who calls, where that is not the connection's caller.
  /// - Throws: why it is not begun, and then `sink` is not used.
  func start(
    _ id: UInt64, _ procedure: BoundProcedure, _ arguments: [UInt8], isChecked: Bool = true,
    timeoutNanoseconds: UInt64, received: UInt64? = nil, context: CallContext = CallContext(),
    on connection: ServerConnection, caller: Caller? = nil, sink: any ReplySink
  ) throws(RPCError) {
    try CallFrame.checkDepth(context.depth, of: procedure.signature.qualifiedName)
    try admit(arguments.count, on: connection)
    // A closure checks what it decodes.
    let needsCheck = !isChecked && procedure.spotBytesMax < 0
    let isSlow = procedure.isSlow(bytes: arguments.count)
    if needsCheck, !isSlow {
      do throws(RPCError) {
        try Self.check(arguments, procedure.signature)
      } catch {
        throw explained(error, procedure)
      }
    }
    let started = received ?? host.loop.now
    let call = ServerCall(
      id: id, procedure: procedure, caller: caller ?? connection.caller, started: started,
      deadline: deadline(of: procedure, timeout: timeoutNanoseconds, from: started), arguments: arguments,
      context: context, sink: sink, core: self, connection: connection)
    connection.began(call)
    guard needsCheck, isSlow else { return run(call, on: connection) }
    beside(call) { () -> RPCError? in
      do throws(RPCError) {
        try Self.check(arguments, procedure.signature)
        return nil
      } catch {
        return error
      }
    } then: { [self] error in
      guard let error else { return run(call, on: connection) }
      call.conclude(.failure(explained(error, procedure)), on: host.loop)
    }
  }

  /// Refuses a call that is one too many, or whose arguments are, with numbers.
  func admit(_ bytes: Int, on connection: ServerConnection) throws(RPCError) {
    let inFlight = connection.calls.count
    guard inFlight < host.options.callsPerConnection else {
      throw RPCError(
        .resourceExhausted, "\(inFlight) calls are in flight on this connection", actual: inFlight,
        limit: host.options.callsPerConnection, unit: .calls, retryAfterMilliseconds: 10)
    }
    // Work counts until it ends: else a flood of calls, each cancelled at once, could start any number.
    let running = host.metrics.value.callsInFlight + leftBehind
    guard running < callsMax else {
      throw RPCError(
        .resourceExhausted, "\(running) calls are in flight on this loop of the server", actual: running,
        limit: callsMax, unit: .calls, retryAfterMilliseconds: 10)
    }
    if let excess = connection.socket.excess(of: bytes) {
      throw Self.memoryExceeded(
        actual: excess.actual, limit: excess.limit, isStranger: connection.socket.isStranger)
    }
  }

  static func memoryExceeded(actual: Int, limit: Int, isStranger: Bool) -> RPCError {
    let whose = isStranger ? "the connections of unknown peers" : "the connections"
    return RPCError(
      .resourceExhausted, "\(whose) would hold \(actual) bytes of memory, the limit is \(limit)",
      actual: actual, limit: limit, unit: .bytes, retryAfterMilliseconds: 100)
  }

  /// When a call must have ended: by its caller's timeout (nanoseconds, 0 for none) or its procedure's own,
  /// whichever is shorter.
  func deadline(of procedure: BoundProcedure, timeout: UInt64, from start: UInt64) -> UInt64? {
    let own = procedure.procedure.timeoutMilliseconds.map { UInt64($0) * 1_000_000 }
    switch (timeout, own) {
    case (0, nil): return nil
    case (0, let own?): return start + own
    case (_, nil): return start + timeout
    case (_, let own?): return start + min(timeout, own)
    }
  }

  private func run(_ call: ServerCall, on connection: ServerConnection) {
    switch call.procedure.implementation {
    case .immediate(let body): runImmediate(call, body)
    case .suspending(let body): runSuspending(call, body, on: connection)
    case .source(let unit): runSource(call, unit, on: connection)
    case .system(let index): SystemService.run(call, index: index, on: host, connection)
    }
  }

  private func runImmediate(_ call: ServerCall, _ body: @escaping NativeBody) {
    let arguments = call.arguments
    guard call.procedure.isSlow(bytes: arguments.count) else {
      spot.value.source = .begun(call)
      let outcome = Self.runImmediate(body, arguments)
      spot.value.source = .none
      return call.conclude(outcome, on: host.loop)
    }
    let context = call.connection.map { procedureContext(of: call, on: $0) }
    beside(call) {
      ProcedureContext.$ofTask.withValue(context) { Self.runImmediate(body, arguments) }
    } then: { [self] outcome in
      call.conclude(outcome.mapError { explained($0, call.procedure) }, on: host.loop)
    }
  }

  /// Does `work` for a call beside the loop, and `use` with the result on it, where the call has not ended meanwhile.
  private func beside<Result: Sendable>(
    _ call: ServerCall, _ work: @escaping @Sendable () -> Result, then use: @escaping (Result) -> Void
  ) {
    let isStopped = Lock(false)
    call.stop = { [self] _ in
      left(call)
      isStopped.withLock { $0 = true }
    }
    host.side.run({ isStopped.withLock { $0 } ? nil : work() }) { [self] result in
      if call.isConcluded { returned(call) }
      guard !call.isConcluded, let result else { return }
      call.stop = nil
      use(result)
    }
  }

  private static func runImmediate(_ body: NativeBody, _ arguments: [UInt8]) -> CallOutcome {
    var output = ByteQueue()
    var reader = MessagePackReader(arguments.span.bytes)
    do {
      try body(&reader, &output)
      return .success(output.copy())
    } catch {
      return .failure(error)
    }
  }

  /// What a procedure is told of its call.
  func procedureContext(of call: ServerCall, on connection: ServerConnection) -> ProcedureContext {
    procedureContext(call.context, by: call.caller, deadline: call.deadline, on: connection)
  }

  func procedureContext(
    _ context: CallContext, by caller: Caller, deadline: UInt64?, on connection: ServerConnection
  ) -> ProcedureContext {
    // A procedure's call was let in by its service's rights, and so it is named.
    let service = connection.nested == nil ? nil : context.service.map { Tenant.service($0).text }
    let name = caller === connection.caller ? connection.callerName : caller.claimed
    return ProcedureContext(
      caller: service ?? name, metadata: context.metadata, trace: context.trace, deadlineNanoseconds: deadline
    )
  }

  private func runSuspending(_ call: ServerCall, _ body: @escaping AsyncBody, on connection: ServerConnection)
  {
    let confined = LoopConfined((call: call, core: self), to: host.loop)
    let mailbox = host.loop.mailbox
    let arguments = call.arguments
    let context = procedureContext(of: call, on: connection)
    let task = Task.detached {
      let result = await ProcedureContext.$ofTask.withValue(context) { () -> CallOutcome in
        do throws(RPCError) {
          return .success(try await body(arguments))
        } catch {
          return .failure(error)
        }
      }
      mailbox.post { loop in
        let (call, core) = confined.on(loop)
        if call.isConcluded { core.returned(call) }
        call.conclude(result, on: loop)
      }
    }
    call.stop = { [self] _ in
      left(call)
      task.cancel()
    }
  }

  /// A call was ended, and its work goes on until it notices.
  private func left(_ call: ServerCall) {
    leftBehind += 1
    call.connection?.workLeft += 1
  }

  private func returned(_ call: ServerCall) {
    leftBehind -= 1
    call.connection?.workLeft -= 1
  }

  private func runSource(_ call: ServerCall, _ unit: SourceUnit, on connection: ServerConnection) {
    guard let runtime = host.runtime(for: unit.procedure.language) else {
      return call.conclude(
        .failure(RPCError(.unavailable, "this server runs no \(unit.procedure.language.name)")), on: host.loop
      )
    }
    runtime.invoke(invocation(of: call, unit, in: runtime, on: connection))
    host.noteSpot(call.procedure, unit, in: runtime)
  }

  func invocation(
    of call: ServerCall, _ unit: SourceUnit, in runtime: any ProcedureRuntime, on connection: ServerConnection
  ) -> Invocation {
    let loop = host.loop
    let invocation = Invocation(
      unit: unit, arguments: call.arguments, deadline: call.deadline, depth: call.context.depth,
      context: procedureContext(of: call, on: connection)
    ) { result in
      call.conclude(result, on: loop)
    }
    call.stop = { reason in runtime.cancel(invocation, reason: reason) }
    return invocation
  }

  // MARK: Count and log

  /// Closures that were run on the spot, without an exception.
  @inline(__always)
  func executed(_ procedure: BoundProcedure, times count: UInt64, by caller: Caller) {
    guard count > 0 else { return }
    host.countExecutions(procedure, count)
    host.log.executed(procedure, by: caller, times: count)
  }

  /// A call that was begun.
  func concluded(_ call: ServerCall, _ outcome: CallOutcome) {
    host.log.concluded(call, outcome, by: call.caller, now: SystemClock.monotonicNanoseconds())
    host.count(call, outcome)
  }

  /// A call that ended before it began, or a closure that raised.
  ///
  /// - Parameter code: what it is counted as, where the dialect has a more exact one.
  func failed(_ procedure: BoundProcedure?, _ error: RPCError, by caller: Caller, code: StatusCode? = nil) {
    host.countFailure(procedure, error, code: code ?? error.code)
    host.log.failed(procedure, error, by: caller)
  }
}
