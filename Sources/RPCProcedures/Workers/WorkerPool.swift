internal import RPCSystem
internal import RPCTransport
package import RPCWire

/// Runs the procedures of a language in worker processes: a bounded pool of them for each loop, one call at a time
/// each, first come first served. A worker whose call is cancelled, that crashes or breaks the protocol is killed; its
/// call fails, and nothing else does.
package final class WorkerPool: ProcedureRuntime {
  /// The language, in messages.
  internal let title: String
  internal let loop: EventLoop
  internal let limits: RuntimeLimits
  internal let bounds: WorkerLimits
  internal let launcher: any WorkerLauncher
  internal let log: ProcedureOutput.Sink
  private let nested: (any NestedCaller)?
  internal let isolation: IsolationPolicy
  internal let secrets: SecretStore
  private let environments: String?
  internal let quarantine: Quarantine
  internal let note: (String) -> Void
  internal let warn: (String) -> Void
  /// What confines the workers, once one was started.
  internal var tier: IsolationTier?

  private var unitsByObject: [ObjectIdentifier: WorkerUnit] = [:]
  private var unitsByKey: [WorkerUnit.Key: WorkerUnit] = [:]
  private var lastUnitID: UInt32 = 0

  /// Why no worker could be started last.
  internal var lastFailure: RPCError?
  internal var workers: [UInt32: WorkerConnection] = [:]
  /// Idle workers; the last is the warmest.
  internal var idle: [WorkerConnection] = []
  /// Workers that were killed and whose end was not reported yet.
  internal var killed: Set<UInt32> = []
  /// Jobs of workers whose connection ended, until their launcher tells how they ended.
  internal var orphans: [UInt32: WorkerJob] = [:]
  internal var lastWorkerID: UInt32 = 0
  /// Calls that wait for a worker.
  internal var queue = CallQueue<WorkerJob>(depthMax: WireLimits.callDepthMax)
  /// Workers whose call waits for another call.
  internal var waiting: WaitingWorkers
  /// Sources that wait to be loaded, and the one that is.
  internal var loads = RemovableQueue<WorkerJob>()
  internal var loading: WorkerJob?
  private var isShutDown = false

  /// - Parameters:
  ///   - title: the language, in messages.
  ///   - bounds: those of the workers.
  ///   - launcher: starts them; it belongs to this pool from now on.
  package init(
    title: String, context: RuntimeContext, bounds: WorkerLimits, launcher: any WorkerLauncher
  ) {
    self.title = title
    self.loop = context.loop
    self.limits = context.limits
    self.bounds = bounds
    self.launcher = launcher
    self.nested = context.nested
    isolation = context.isolation
    secrets = context.secrets
    environments = context.environments
    quarantine = context.quarantine
    note = context.note
    warn = context.warn
    self.log = context.log
    waiting = WaitingWorkers(depthMax: WireLimits.callDepthMax, limit: bounds.waitingWorkers)
    launcher.observer = self
  }

  // MARK: Asking

  package func prepare(_ unit: SourceUnit, completion: @escaping (Result<Void, RPCError>) -> Void) {
    guard !isShutDown else {
      return completion(.failure(RPCError(.unavailable, "the server is shutting down")))
    }
    guard unit.source.count <= limits.sourceBytes else {
      return completion(
        .failure(
          RPCError(
            .failedPrecondition,
            "the source has \(unit.source.count) bytes, the limit is \(limits.sourceBytes)",
            actual: unit.source.count, limit: limits.sourceBytes, unit: .bytes,
            source: unit.procedure.sourceName)))
    }
    let known = register(unit)
    if let why = refusal(of: known) { return completion(.failure(why)) }
    loads.append(WorkerJob(.load(completion), unit: known))
    startWaiting()
  }

  package func invoke(_ invocation: Invocation) {
    let unit = unitsByObject[ObjectIdentifier(invocation.unit)] ?? register(invocation.unit)
    let job = WorkerJob(.call(invocation), unit: unit)
    invocation.state = job
    submit(job)
  }

  package func cancel(_ invocation: Invocation, reason: RPCError) {
    guard let job = invocation.state as? WorkerJob, !job.isFinished else { return }
    var reason = reason
    if let worker = job.worker {
      reason.executed = .maybe
      kill(worker)
    } else if orphans.values.contains(where: { $0 === job }) {
      reason.executed = .maybe
    } else {
      reason.executed = .no
      if let place = job.place.take() { queue.remove(place, depth: job.depth) }
    }
    job.finish(.failure(reason))
    startWaiting()
  }

  package func forget(digests: [String]) {
    let forgotten = Set(digests)
    let units = unitsByKey.values.filter { forgotten.contains($0.key.digest) }
    for unit in units {
      unitsByKey[unit.key] = nil
      unitsByObject[ObjectIdentifier(unit.unit)] = nil
    }
    for worker in workers.values { worker.forget(units: units.map(\.id), digests: digests) }
  }

  package var isolationTier: String? { tier?.description }

  package func shutdown() {
    isShutDown = true
    let gone = RPCError(.unavailable, "the server is shutting down", executed: .maybe)
    for job in takeEverything() { job.finish(.failure(gone)) }
    launcher.shutDown()
  }

  private func register(_ unit: SourceUnit) -> WorkerUnit {
    let key = WorkerUnit.Key(unit.procedure)
    let known: WorkerUnit
    if let old = unitsByKey[key] {
      // The same procedure in a new generation: its workers know it already.
      unitsByObject[ObjectIdentifier(old.unit)] = nil
      old.unit = unit
      known = old
    } else {
      lastUnitID += 1
      known = WorkerUnit(id: lastUnitID, unit: unit)
      unitsByKey[key] = known
    }
    unitsByObject[ObjectIdentifier(unit)] = known
    return known
  }

  // MARK: Jobs

  private func submit(_ job: WorkerJob) {
    guard !isShutDown else {
      return job.finish(.failure(RPCError(.unavailable, "the server is shutting down")))
    }
    if let why = refusal(of: job.unit) ?? quarantine.refusal(of: job.unit.key.signature) {
      return job.finish(.failure(why))
    }
    let waitingCalls = queue.count(at: job.depth)
    if queue.isEmpty(from: job.depth), waiting.mayStart(depth: job.depth), mayRun(job.unit),
      mayTakeWorker(for: job.unit), let worker = takeWorker(for: job.unit)
    {
      worker.start(job)
    } else if waitingCalls >= bounds.queue {
      job.finish(
        .failure(
          RPCError(
            .resourceExhausted,
            "\(waitingCalls) calls wait for a \(title) worker, the limit is \(bounds.queue)",
            actual: waitingCalls + 1, limit: bounds.queue, unit: .calls)))
    } else {
      job.place = queue.append(job, depth: job.depth)
      startWaiting()
    }
  }

  /// Workers whose calls run, and do not wait for other calls.
  private var runningWorkers: Int { workers.count - idle.count - waiting.count }

  /// Whether calls or loads are in progress or wait.
  package var isBusy: Bool { idle.count < workers.count || !orphans.isEmpty || queue.count > 0 }

  /// Whether a worker may begin something of a unit now: as many run as may, unless nothing of its service does, which
  /// then gets one of those that are kept for that.
  private func mayRun(_ unit: WorkerUnit, beyond extra: Int = 0) -> Bool {
    let bound = unit.key.confinement.workers
    let running = runningWorkers
    if running < bounds.workers + extra, bound == nil { return true }
    let order = order(for: unit)
    let own = workers.values.count { !$0.isIdle && !$0.isWaiting && $0.order == order }
    if let bound, own >= bound + extra { return false }
    return running < bounds.workers + extra || own == 0 && running < bounds.workers + bounds.spareWorkers
  }

  internal func order(for unit: WorkerUnit) -> WorkerOrder {
    let confinement = unit.key.confinement
    return WorkerOrder(
      service: unit.key.signature.service, confinement: confinement,
      isolation: isolation.isolation(of: confinement),
      secrets: secrets.secrets(named: confinement.provision.secrets),
      packages: confinement.provision.requirements.map { "\(environments ?? "")/\($0)" },
      memoryBytes: memory(of: unit))
  }

  /// What a call of a unit may use.
  private func memory(of unit: WorkerUnit) -> Int { unit.procedure.memoryBytes ?? bounds.memoryBytes }

  /// The most that a call of any unit of a service may use.
  private func mostMemory(of service: String) -> Int {
    unitsByKey.values.lazy.filter { $0.key.signature.service.hasSameUTF8(as: service) }
      .map { self.memory(of: $0) }.max() ?? bounds.memoryBytes
  }

  /// An idle worker of its service, one that knows the unit if there is one, or a new one. Services share none: what one
  /// changes in its interpreter is no business of another.
  internal func takeWorker(for unit: WorkerUnit) -> WorkerConnection? {
    var order = order(for: unit)
    if let index = idleIndex(for: unit, order) { return idle.remove(at: index) }
    order.memoryBytes = mostMemory(of: order.service)
    // The one that has been idle longest makes way.
    if workers.count - waiting.count >= bounds.workers, let coldest = idle.first { kill(coldest) }
    return launch(order)
  }

  internal func idleIndex(for unit: WorkerUnit, _ order: WorkerOrder) -> Int? {
    // A worker's bound on memory is for ever: one that was started before a larger one was declared is not for this.
    let isFit = { (worker: WorkerConnection) in worker.order.memoryBytes >= order.memoryBytes }
    return idle.lastIndex { $0.knows(unit) && isFit($0) } ?? idle.lastIndex { $0.order == order && isFit($0) }
  }

  /// Gives waiting calls to free workers.
  internal func startWaiting() {
    startLoading()
    while runningWorkers < bounds.workers + bounds.spareWorkers,
      let job = queue.popNext(
        where: waiting.mayStart, isReady: { mayRun($0.unit) && mayTakeWorker(for: $0.unit) })
    {
      job.place = nil
      if let why = quarantine.refusal(of: job.unit.key.signature) {
        job.finish(.failure(why))
      } else if let worker = takeWorker(for: job.unit) {
        worker.start(job)
      } else {
        // No worker can be started now. Where calls run, those that wait get their workers.
        guard runningWorkers == 0 else {
          job.place = queue.append(job, depth: job.depth)
          return
        }
        job.finish(.failure(startFailure))
        failWaiting()
      }
    }
  }

  /// Sources are loaded one after the other, so that a deployment warms one worker up and not all. They get
  /// one beyond the limit where all are busy: a deployment must not wait for long calls.
  private func startLoading() {
    while loading?.isFinished ?? true, let job = loads.popFirst() {
      loading = job
      if let worker = takeWorker(for: job.unit) {
        worker.start(job)
      } else {
        job.finish(.failure(startFailure))
      }
    }
  }

  private var startFailure: RPCError {
    lastFailure ?? RPCError(.unavailable, "\(title) cannot be started")
  }

  private func failWaiting() {
    let error = startFailure
    for job in queue.removeAll() {
      job.place = nil
      job.finish(.failure(error))
    }
  }

  /// Calls another procedure for one of ours.
  ///
  /// - Returns: what ends that call, nil where it is answered already.
  internal func call(
    _ procedure: String, _ arguments: [Value], on server: String?, for job: WorkerJob,
    completion: @escaping (Result<[Value], RPCError>) -> Void
  ) -> (() -> Void)? {
    guard let nested else {
      completion(.failure(RPCError(.unavailable, "procedures cannot call others here")))
      return nil
    }
    return nested.call(
      procedure, arguments, on: server, from: job.unit.procedure.signature.service,
      deadline: job.invocation?.deadline, depth: job.depth + 1,
      metadata: job.invocation?.context.forwarded ?? [:], completion: completion)
  }

  /// The procedure that the workers know by this number.
  internal func unit(_ id: UInt32) -> WorkerUnit? {
    unitsByKey.values.first { $0.id == id }
  }
}
