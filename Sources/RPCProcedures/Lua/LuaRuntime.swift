internal import CLua
internal import RPCTransport
package import RPCWire

/// Runs Lua procedures on the loop itself, in slices: a call that takes longer than about a millisecond is
/// left, and goes on in the loop's next turn, in turn with the others. Each source has an interpreter of its
/// own with bounded memory; a procedure reaches nothing of the server, of other sources or of the computer.
package final class LuaRuntime: ProcedureRuntime {
  private let loop: EventLoop
  private let limits: RuntimeLimits
  private let context: LuaTask.Context
  private var lastMachineSerial = 0
  private let nested: (any NestedCaller)?

  private var procedures: [ObjectIdentifier: (unit: SourceUnit, procedure: LuaProcedure)] = [:]
  private var sources: [LuaSource.Key: LuaSource] = [:]
  /// Paused calls, the next one first.
  private var ready = RemovableQueue<LuaTask>()
  /// Machines with garbage that nobody collects as long as nobody calls.
  private var interpretersToCollect: [LuaMachine] = []
  /// Every task that has not ended, by slot.
  private var tasks: ContiguousArray<LuaTask?> = []
  private var freeSlots: [Int] = []
  /// Tasks that load a source, and calls that wait for one.
  private var loadsInFlight = 0
  private var callsWaiting = 0
  /// Calls that have not ended, whether they run, are paused or wait for their source.
  private var inFlight: Int { tasks.count - freeSlots.count - loadsInFlight + callsWaiting }
  /// The turn in which a slice was last used up: one is enough for one turn.
  private var exhaustedTurn: UInt64 = 0
  private var isScheduled = false
  private var isShutDown = false

  package init(_ context: RuntimeContext) {
    loop = context.loop
    limits = context.limits
    nested = context.nested
    self.context = LuaTask.Context(limits: context.limits, secrets: context.secrets, log: context.log)
  }

  package var load: RuntimeLoad {
    RuntimeLoad(running: inFlight - callsWaiting, queued: callsWaiting)
  }

  // MARK: Asking

  package func prepare(_ unit: SourceUnit, completion: @escaping (Result<Void, RPCError>) -> Void) {
    if let why = context.secrets.refusal(of: unit.procedure) { return completion(.failure(why)) }
    serveWhenLoaded(.preparation(register(unit), completion))
  }

  package func invoke(_ invocation: Invocation) {
    guard !isShutDown else {
      return invocation.finish(.failure(RPCError(.unavailable, "the server is shutting down")))
    }
    guard inFlight < limits.luaCallsInFlight else {
      return invocation.finish(
        .failure(
          RPCError(
            .resourceExhausted,
            "\(inFlight) Lua calls are in flight, the limit is \(limits.luaCallsInFlight)",
            actual: inFlight + 1, limit: limits.luaCallsInFlight, unit: .calls)))
    }
    let procedure = procedures[ObjectIdentifier(invocation.unit)]?.procedure ?? register(invocation.unit)
    if case .loaded(let machine) = procedure.source.state {
      start(invocation, procedure, on: machine)
    } else {
      serveWhenLoaded(.call(procedure, invocation))
    }
  }

  package func cancel(_ invocation: Invocation, reason: RPCError) {
    var reason = reason
    guard let task = invocation.state as? LuaTask else {
      reason.executed = .no
      if let place = invocation.state as? LuaWaiter.Place, place.leave() { callsWaiting -= 1 }
      return invocation.finish(.failure(reason))
    }
    reason.executed = .maybe
    end(task, .failure(reason))
  }

  package func forget(digests: [String]) {
    let forgotten = Set(digests)
    procedures = procedures.filter { !forgotten.contains($0.value.unit.digest) }
    sources = sources.filter { !forgotten.contains($0.key.digest) }
  }

  /// What a source took of them when it was loaded it would keep.
  package func secretsChanged() {
    for source in sources.values where !source.unit.procedure.confinement.provision.secrets.isEmpty {
      if case .loaded = source.state { source.state = .unloaded }
    }
  }

  package func shutdown() {
    isShutDown = true
    let gone = RPCError(.unavailable, "the server is shutting down", executed: .maybe)
    for task in tasks { if let task { end(task, .failure(gone)) } }
    _ = ready.removeAll()
    interpretersToCollect = []
    procedures = [:]
    sources = [:]
  }

  private func register(_ unit: SourceUnit) -> LuaProcedure {
    if let known = procedures[ObjectIdentifier(unit)] { return known.procedure }
    let key = LuaSource.Key(unit.procedure)
    let source = sources[key] ?? LuaSource(unit)
    sources[key] = source
    let procedure = LuaProcedure(unit, source: source)
    // An older unit of the same procedure is of an older generation; its calls find their way by the key.
    if let old = procedures.first(where: { $0.value.procedure.procedure == unit.procedure }) {
      procedures[old.key] = nil
    }
    procedures[ObjectIdentifier(unit)] = (unit, procedure)
    return procedure
  }

  // MARK: Loading

  /// Serves it at once where its source is loaded, and otherwise as soon as that is.
  private func serveWhenLoaded(_ waiter: LuaWaiter) {
    let source = waiter.procedure.source
    var load: LuaTask?
    switch source.state {
    case .loaded(let machine): return serve(waiter, .success(machine))
    case .loading: break
    case .unloaded:
      do throws(RPCError) {
        load = try beginLoading(source)
      } catch {
        return serve(waiter, .failure(error))
      }
    }
    let ticket = source.waiters.append(waiter)
    if case .call(_, let invocation) = waiter {
      callsWaiting += 1
      invocation.state = LuaWaiter.Place(source, ticket)
    }
    if let load { run(load) }
  }

  private func serve(_ waiter: LuaWaiter, _ result: Result<LuaMachine, RPCError>) {
    switch (waiter, result) {
    case (.call(let procedure, let invocation), .success(let machine)):
      start(invocation, procedure, on: machine)
    case (.call(_, let invocation), .failure(var error)):
      // What has run is the top level of its source at most.
      error.executed = .no
      invocation.finish(.failure(error))
    case (.preparation(let procedure, let completion), .success(let machine)):
      do throws(RPCError) {
        _ = try procedure.function(in: machine)
        completion(.success(()))
      } catch {
        completion(.failure(error))
      }
    case (.preparation(_, let completion), .failure(let error)):
      completion(.failure(error))
    }
  }

  private func endLoading(_ source: LuaSource, _ result: Result<LuaMachine, RPCError>) {
    loadsInFlight -= 1
    if case .success(let machine) = result {
      source.state = .loaded(machine)
    } else {
      source.state = .unloaded
    }
    for waiter in source.waiters.removeAll() {
      if case .call(_, let invocation) = waiter {
        callsWaiting -= 1
        // One that was served before it may have ended it.
        guard !invocation.isFinished else { continue }
        invocation.state = nil
      }
      serve(waiter, result)
    }
  }

  /// Makes a machine for a source and the task that runs its top level there.
  private func beginLoading(_ source: LuaSource) throws(RPCError) -> LuaTask {
    let unit = source.unit
    if source.refusedUntil > loop.now {
      throw RPCError(
        .unavailable, "the procedure is refused for a while after it brought its interpreter to a halt",
        retryAfterMilliseconds: Int((source.refusedUntil - loop.now) / 1_000_000) + 1)
    }
    guard unit.source.count <= limits.luaSourceBytes else {
      throw RPCError(
        .failedPrecondition,
        "the source has \(unit.source.count) bytes, the limit is \(limits.luaSourceBytes)",
        actual: unit.source.count, limit: limits.luaSourceBytes, unit: .bytes,
        source: unit.procedure.sourceName)
    }
    guard
      let machine = LuaMachine(
        serial: lastMachineSerial + 1, memoryBytes: unit.procedure.memoryBytes ?? limits.luaMemoryBytes,
        limits: limits)
    else {
      throw RPCError(.resourceExhausted, "no memory for a Lua interpreter")
    }
    lastMachineSerial += 1
    if let error = machine.compile(unit) { throw error }
    source.state = .loading
    loadsInFlight += 1
    let task = LuaTask(
      loading: unit, on: machine,
      deadline: loop.now &+ UInt64(limits.loadMilliseconds) &* 1_000_000, context: context
    ) { [weak self] result in
      self?.endLoading(source, result.map { machine })
    }
    keep(task)
    return task
  }

  // MARK: Scheduling

  private func start(_ invocation: Invocation, _ procedure: LuaProcedure, on machine: LuaMachine) {
    let task: LuaTask
    do throws(RPCError) {
      task = LuaTask(
        invocation, procedure, function: try procedure.function(in: machine), on: machine,
        context: context)
    } catch {
      return invocation.finish(.failure(error))
    }
    invocation.state = task
    keep(task)
    if exhaustedTurn == loop.now {
      enqueue(task)
    } else {
      run(task)
    }
  }

  private func keep(_ task: LuaTask) {
    task.slot = freeSlots.popLast() ?? tasks.count
    if task.slot == tasks.count { tasks.append(task) } else { tasks[task.slot] = task }
  }

  private func enqueue(_ task: LuaTask) {
    task.place = ready.append(task)
    schedule()
  }

  private func schedule() {
    guard !isScheduled else { return }
    isScheduled = true
    loop.atEndOfTurn { [weak self] in
      guard let self else { return }
      isScheduled = false
      runTurn()
    }
  }

  /// Once a turn: paused calls in turn until one of them has used up a slice.
  private func runTurn() {
    while let task = ready.popFirst() {
      task.place = nil
      if run(task) { break }
    }
    if ready.isEmpty {
      collectGarbage()
    } else {
      schedule()
    }
  }

  /// Runs one slice of a call. Returns whether it used it up.
  @discardableResult
  private func run(_ task: LuaTask) -> Bool {
    if let deadline = task.loadDeadline, deadline <= loop.now {
      end(
        task,
        .failure(
          RPCError(.failedPrecondition, "loading took more than \(limits.loadMilliseconds) ms", executed: .no)
        ))
      return false
    }
    guard let outcome = task.resume() else {
      end(task, task.result(of: rpclua_out_of_memory))
      return false
    }
    switch outcome {
    case rpclua_paused:
      exhaustedTurn = loop.now
      task.slices += 1
      if task.slices > limits.luaSlicesPerCall {
        end(
          task,
          .failure(
            RPCError(
              .executionException,
              "the call used more than \(limits.luaSlicesPerCall) slices of processor time",
              executed: .yes)))
      } else {
        enqueue(task)
      }
      return true
    case rpclua_calling:
      call(task)
      return false
    case rpclua_ejected:
      stopInterpreter(of: task)
      return true
    case rpclua_out_of_memory:
      let result = task.result(of: outcome)
      // What it leaves behind is more than can be collected in passing; the next call gets a new machine.
      replace(task.machine)
      end(task, result)
      return false
    default:
      end(task, task.result(of: outcome))
      return false
    }
  }

  private func end(_ task: LuaTask, _ result: Result<[UInt8], RPCError>) {
    guard !task.isFinished else { return }
    tasks[task.slot] = nil
    freeSlots.append(task.slot)
    if let place = task.place.take() { ready.remove(place) }
    let machine = task.machine
    task.finish(result)
    noteGarbage(of: machine)
  }

  /// The call asks for another procedure: it goes on when that has answered.
  private func call(_ task: LuaTask) {
    guard let request = task.request() else { return }
    let completion: (Result<[Value], RPCError>) -> Void = { [weak self] result in
      guard let self, !task.isFinished else { return }
      task.endNested = nil
      task.answer(result)
      enqueue(task)
    }
    guard let nested else {
      return completion(.failure(RPCError(.unavailable, "procedures cannot call others here")))
    }
    switch request.arguments {
    case .success(let arguments):
      task.endNested = nested.call(
        request.procedure, arguments, on: request.server, from: task.procedure.signature.service,
        deadline: task.callDeadline, depth: task.depth + 1, metadata: task.callContext.forwarded,
        completion: completion)
    case .failure(let error):
      completion(.failure(RPCError(.invalidArguments, error.description)))
    }
  }

  // MARK: Machines

  private func replace(_ machine: LuaMachine) {
    for source in sources.values {
      if case .loaded(let current) = source.state, current === machine { source.state = .unloaded }
    }
  }

  /// The interpreter was stopped in the middle of an operation: nothing that runs on it can go on.
  private func stopInterpreter(of task: LuaTask) {
    let machine = task.machine
    machine.markDead()
    for source in sources.values {
      if case .loaded(let current) = source.state, current === machine {
        source.state = .unloaded
        source.refusedUntil = loop.now &+ UInt64(limits.luaRefusalMilliseconds) &* 1_000_000
      }
    }
    end(task, task.result(of: rpclua_ejected))
    let lost = RPCError(
      .executionException, "another call of the procedure brought its interpreter to a halt", executed: .maybe
    )
    for other in tasks { if let other, other.machine === machine { end(other, .failure(lost)) } }
  }

  /// Garbage is collected while a procedure runs; what the last call left is collected here, bit by bit.
  private func noteGarbage(of machine: LuaMachine) {
    guard !machine.isDead, !machine.isCollecting,
      machine.bytes > machine.bytesAfterCollection + limits.luaIdleGarbageBytes
    else { return }
    machine.isCollecting = true
    interpretersToCollect.append(machine)
    schedule()
  }

  private func collectGarbage() {
    guard let machine = interpretersToCollect.last else { return }
    if machine.isDead || rpclua_collect(machine.pointer) {
      interpretersToCollect.removeLast()
      machine.isCollecting = false
      machine.bytesAfterCollection = machine.isDead ? 0 : machine.bytes
    }
    if !interpretersToCollect.isEmpty { schedule() }
  }
}
