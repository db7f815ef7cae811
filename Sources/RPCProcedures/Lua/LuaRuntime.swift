internal import CLua
internal import RPCTransport
package import RPCWire

/// Runs Lua procedures on the loop itself, in slices: a call that takes longer than about a millisecond is
/// left, and goes on in the loop's next turn, in turn with the others. Each source has an interpreter of its
/// own with bounded memory; a procedure reaches nothing of the server, of other sources or of the computer.
package final class LuaRuntime: ProcedureRuntime {
  let loop: EventLoop
  let limits: RuntimeLimits
  let context: LuaHost.Context
  let nested: (any NestedCaller)?

  private var procedures: [ObjectIdentifier: (unit: SourceUnit, procedure: LuaProcedure)] = [:]
  /// The last unit of each procedure. Older ones are of an older generation; their calls find their way by the source.
  private var lastUnits: [Signature: ObjectIdentifier] = [:]
  private(set) var sources: [LuaSource.Key: LuaSource] = [:]
  /// Interpreters that are loaded, whether they are called or not.
  package internal(set) var interpreters = 0
  /// The sources whose interpreters are given back one day.
  var shelf: LuaShelf<LuaSource>
  var shelfTimer: TimerID?
  /// How many interpreters were made: the last one's number.
  package internal(set) var machinesMade = 0
  /// Paused calls, the next one first.
  var ready = RemovableQueue<LuaTask>()
  /// Machines with garbage that nobody collects as long as nobody calls.
  var machinesToCollect: [LuaMachine] = []
  // Every call asks for these; nobody is called meanwhile.
  /// Every task that has not ended, by slot.
  @exclusivity(unchecked) var tasks: ContiguousArray<LuaTask?> = []
  @exclusivity(unchecked) var freeSlots: [Int] = []
  /// Tasks that load a source, and calls that wait for one.
  @exclusivity(unchecked) var loadsInFlight = 0
  @exclusivity(unchecked) var callsWaiting = 0
  /// The turn in which a slice was last used up: one is enough for one turn.
  @exclusivity(unchecked) var exhaustedTurn: UInt64 = 0
  var isScheduled = false
  @exclusivity(unchecked) private(set) var isShutDown = false

  /// Calls that have not ended, whether they run, are paused or wait for their source.
  var inFlight: Int { tasks.count - freeSlots.count - loadsInFlight + callsWaiting }

  package init(_ context: RuntimeContext) {
    loop = context.loop
    limits = context.limits
    nested = context.nested
    shelf = LuaShelf(limit: context.limits.luaIdleInterpreters)
    self.context = LuaHost.Context(limits: context.limits, secrets: context.secrets, log: context.log)
  }

  package var load: RuntimeLoad {
    RuntimeLoad(running: inFlight - callsWaiting, queued: callsWaiting)
  }

  // MARK: Asking

  package func prepare(_ unit: SourceUnit, completion: @escaping (Result<Void, RPCError>) -> Void) {
    if let why = context.secrets.refusal(of: unit.procedure) { return completion(.failure(why)) }
    let procedure = register(unit)
    if procedure.isVerified { return completion(.success(())) }
    serveWhenLoaded(.preparation(procedure, completion))
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

  package func spotProcedure(of unit: SourceUnit) -> (any SpotProcedure)? {
    isShutDown ? nil : procedures[ObjectIdentifier(unit)]?.procedure
  }

  package func forget(digests: [String]) {
    let forgotten = Set(digests)
    for (id, known) in procedures where forgotten.contains(known.unit.digest) {
      procedures[id] = nil
      let signature = known.unit.procedure.signature
      if lastUnits[signature] == id { lastUnits[signature] = nil }
    }
    for (key, source) in sources where forgotten.contains(key.digest) {
      sources[key] = nil
      giveBack(source)
    }
  }

  /// What a source took of them when it was loaded it would keep.
  package func secretsChanged() {
    for source in sources.values where !source.unit.procedure.confinement.provision.secrets.isEmpty {
      giveBack(source)
    }
  }

  package func shutdown() {
    isShutDown = true
    let gone = RPCError(.unavailable, "the server is shutting down", executed: .maybe)
    for task in tasks { if let task { end(task, .failure(gone)) } }
    _ = ready.removeAll()
    if let shelfTimer { loop.cancel(shelfTimer) }
    shelfTimer = nil
    machinesToCollect = []
    for source in sources.values { giveBack(source) }
    for source in shelf.sources { giveBack(source) }
    procedures = [:]
    lastUnits = [:]
    sources = [:]
  }

  private func register(_ unit: SourceUnit) -> LuaProcedure {
    if let known = procedures[ObjectIdentifier(unit)] { return known.procedure }
    let key = LuaSource.Key(unit.procedure)
    let source = sources[key] ?? LuaSource(unit)
    sources[key] = source
    let procedure = LuaProcedure(unit, source: source, runtime: self)
    if let old = lastUnits.updateValue(ObjectIdentifier(unit), forKey: unit.procedure.signature) {
      procedures[old] = nil
    }
    procedures[ObjectIdentifier(unit)] = (unit, procedure)
    return procedure
  }
}
