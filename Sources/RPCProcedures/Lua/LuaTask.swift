internal import CLua
internal import RPCWire

/// One coroutine: a call, or the loading of a source. It knows how an outcome reads as an error; when it runs
/// is the runtime's business.
internal final class LuaTask: LuaHost {
  enum Work {
    case call(Invocation, LuaProcedure)
    case load((Result<Void, RPCError>) -> Void)
  }

  let machine: LuaMachine
  /// When a source must have been loaded, on the loop's clock. A call's deadline is the server's business.
  let loadDeadline: UInt64?
  private var work: Work?
  private var call: OpaquePointer?
  /// Where the runtime keeps it.
  var slot = -1
  /// Where it waits for its next slice.
  var place: RemovableQueue<LuaTask>.Ticket?
  /// Slices it has used up wholly.
  var slices = 0
  /// Ends the call of another procedure that it waits for.
  var endNested: (() -> Void)?

  /// The top level of a source.
  init(
    loading unit: SourceUnit, on machine: LuaMachine, deadline: UInt64, context: Context,
    completion: @escaping (Result<Void, RPCError>) -> Void
  ) {
    self.machine = machine
    loadDeadline = deadline
    work = .load(completion)
    super.init(unit, context)
    call = rpclua_begin_load(machine.pointer, Unmanaged.passUnretained(self as LuaHost).toOpaque())
  }

  /// A call.
  init(
    _ invocation: Invocation, _ procedure: LuaProcedure, function: Int32, on machine: LuaMachine,
    context: Context
  ) {
    self.machine = machine
    loadDeadline = nil
    work = .call(invocation, procedure)
    super.init(procedure.unit, context)
    call = invocation.arguments.withUnsafeBufferPointer { arguments in
      rpclua_begin(
        machine.pointer, function, procedure.parameters.program, procedure.parameters.count,
        procedure.returns.program, procedure.returns.count, arguments.baseAddress, arguments.count,
        Unmanaged.passUnretained(self as LuaHost).toOpaque())
    }
  }

  /// A call that was begun where it was read, and goes on.
  init(
    continuing call: OpaquePointer, _ invocation: Invocation, _ procedure: LuaProcedure,
    on machine: LuaMachine, context: Context
  ) {
    self.machine = machine
    loadDeadline = nil
    work = .call(invocation, procedure)
    super.init(procedure.unit, context)
    self.call = call
    rpclua_set_tag(call, Unmanaged.passUnretained(self as LuaHost).toOpaque())
  }

  deinit {
    precondition(call == nil, "a task is finished before it is dropped")
  }

  private var limits: RuntimeLimits { context.limits }
  var isFinished: Bool { work == nil }
  /// How deep the call is nested in others.
  var depth: Int { if case .call(let invocation, _) = work { invocation.depth } else { 0 } }
  /// When the call must have ended, for the calls that it makes.
  override var callDeadline: UInt64? {
    if case .call(let invocation, _) = work { invocation.deadline } else { nil }
  }

  override var callContext: CallContext {
    if case .call(let invocation, _) = work { invocation.context } else { CallContext() }
  }

  // MARK: Running

  /// Runs until it ends, waits or its slice is over. Nil: without memory it could not even begin.
  func resume() -> rpclua_outcome? {
    guard let call else { return nil }
    return rpclua_resume(call)
  }

  /// What it asks of another procedure.
  func request() -> (procedure: String, server: String?, arguments: Result<[Value], WireError>)? {
    guard let call else { return nil }
    var server: UnsafePointer<CChar>?
    var bytes: UnsafePointer<UInt8>?
    var count = 0
    guard let procedure = rpclua_request(call, &server, &bytes, &count) else { return nil }
    let arguments: Result<[Value], WireError>
    do throws(WireError) {
      arguments = .success(
        try Value.list(messagePack: Array(UnsafeBufferPointer(start: bytes, count: count))))
    } catch {
      arguments = .failure(error)
    }
    return (String(cString: procedure), server.map { String(cString: $0) }, arguments)
  }

  func answer(_ result: Result<[Value], RPCError>) {
    guard let call else { return }
    switch result {
    case .success(let values):
      let bytes = Value.list(values).messagePack
      bytes.withUnsafeBytes { rpclua_answer(call, true, $0.baseAddress, $0.count) }
    case .failure(let error):
      var text = "\(error.exception.rawValue): \(error.message)"
      text.withUTF8 { rpclua_answer(call, false, $0.baseAddress, $0.count) }
    }
  }

  // MARK: Ending

  func finish(_ result: Result<[UInt8], RPCError>) {
    guard let work else { return }
    self.work = nil
    if let call { rpclua_end(call) }
    call = nil
    endNested?()
    endNested = nil
    switch work {
    case .call(let invocation, _): invocation.finish(result)
    case .load(let completion): completion(result.map { _ in () }.mapError(Self.asLoadFailure))
    }
  }

  private static func asLoadFailure(_ error: RPCError) -> RPCError {
    var error = error
    if error.exception == .executionException { error.exception = .failedPrecondition }
    error.executed = .no
    return error
  }

  /// The result that an outcome stands for; `paused` and `calling` are none.
  func result(of outcome: rpclua_outcome) -> Result<[UInt8], RPCError> {
    guard let call else { return .failure(outOfMemory) }
    var count = 0
    switch outcome {
    case rpclua_done:
      guard let bytes = rpclua_output(call, &count) else { return .success([]) }
      return .success(Array(UnsafeBufferPointer(start: bytes, count: count)))
    case rpclua_raised: return failure(message)
    case rpclua_mismatched:
      let declared = procedure.signature.returns.map(\.description).joined(separator: ", ")
      return failure("\(name) returned [\(message)], but declares [\(declared)]", hasSource: false)
    case rpclua_unfit: return failure("\(name) returned \(message)", hasSource: false)
    case rpclua_too_large:
      return .failure(
        RPCError(
          .resourceExhausted, "\(name) returned more than \(limits.outputBytes) bytes", executed: .yes,
          actual: Int(message), limit: limits.outputBytes, unit: .bytes))
    case rpclua_out_of_memory: return .failure(outOfMemory)
    case rpclua_unpausable:
      return failure(
        "the procedure spent too long in library functions that cannot be paused, on huge values or in "
          + "metamethods that they call")
    case rpclua_ejected:
      return failure(
        "one operation of the interpreter took more than \(limits.luaOperationMilliseconds) ms of processor time",
        hasSource: false)
    default: return failure("the call ended in an unexpected way (\(outcome.rawValue))")
    }
  }

  private var name: String { procedure.signature.name }

  private var message: String {
    guard let call else { return "" }
    var count = 0
    let bytes = rpclua_message(call, &count)
    let text = String(decoding: UnsafeRawBufferPointer(start: bytes, count: count), as: UTF8.self)
    let total = rpclua_message_total(call)
    guard text.unicodeScalars.count > limits.messageCharacters || total > count else { return text }
    return "\(String(text.unicodeScalars.prefix(limits.messageCharacters)))… (\(total) bytes in all)"
  }

  private var source: String? {
    guard let call else { return nil }
    let line = rpclua_line(call)
    return line > 0 ? "\(procedure.sourceName):\(line)" : nil
  }

  private func failure(_ message: String, hasSource: Bool = true) -> Result<[UInt8], RPCError> {
    .failure(
      RPCError(.executionException, message, executed: .yes, source: hasSource ? source : nil))
  }

  private var outOfMemory: RPCError {
    let refused = call.map(rpclua_refused) ?? 0
    if refused > 0 {
      return RPCError(
        .executionException,
        "a table of \(refused) bytes is too large: the limit is \(limits.luaValueBytes) bytes",
        executed: .yes,
        actual: refused, limit: limits.luaValueBytes, unit: .bytes, source: source)
    }
    let limit = procedure.memoryBytes ?? limits.luaMemoryBytes
    return RPCError(
      .executionException, "not enough memory: the call may use \(limit) bytes", executed: .yes, limit: limit,
      source: source)
  }
}
