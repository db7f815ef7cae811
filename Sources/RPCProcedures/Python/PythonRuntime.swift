public import RPCTransport
public import RPCWire

/// Runs Python procedures in worker processes: a bounded pool of them for each loop, forked from a warm
/// interpreter, one call at a time each, first come first served. A worker that runs out of time, crashes or
/// breaks the protocol is killed; its call fails, and nothing else does.
public final class PythonRuntime: ProcedureRuntime {
  internal let loop: EventLoop
  internal let limits: RuntimeLimits
  internal let program: String
  internal let log: ProcedureOutput.Sink
  internal let nested: (any NestedCaller)?
  internal let usesNamespaces: Bool

  private var unitsByObject: [ObjectIdentifier: PythonUnit] = [:]
  private var unitsByKey: [PythonUnit.Key: PythonUnit] = [:]
  private var lastUnitID: UInt32 = 0

  internal var parent: PythonParent?
  /// Those of earlier parents that may not be over.
  internal var endings: [PythonEnding] = []
  internal var lastFailure: (error: RPCError, at: UInt64)?
  internal var workers: [UInt32: PythonWorker] = [:]
  /// Idle workers; the last is the warmest.
  internal var idle: [PythonWorker] = []
  /// Jobs of workers whose connection ended, until their parent tells how they ended.
  internal var orphans: [UInt32: PythonJob] = [:]
  internal var lastWorkerID: UInt32 = 0
  /// Calls that wait for a worker.
  internal var queue = CallQueue<PythonJob>(depthMax: WireLimits.callDepthMax)
  /// Workers whose call waits for another call.
  internal var waiting: WaitingWorkers
  /// Sources that wait to be loaded, and the one that is.
  internal var loads = RemovableQueue<PythonJob>()
  internal var loading: PythonJob?
  internal private(set) lazy var watch = PythonWatch(loop: loop, limits: limits, runtime: self)
  private var isShutDown = false

  /// - Parameters:
  ///   - program: the interpreter, found in PATH.
  ///   - nested: how procedures call others; nil where they cannot.
  ///   - usesNamespaces: give the workers process ids of their own, where the kernel allows that.
  ///   - log: takes what procedures print.
  public init(
    loop: EventLoop, limits: RuntimeLimits = RuntimeLimits(), program: String = "python3",
    nested: (any NestedCaller)? = nil, usesNamespaces: Bool = true,
    log: @escaping ProcedureOutput.Sink = { _ in }
  ) {
    self.loop = loop
    self.limits = limits
    self.program = program
    self.nested = nested
    self.usesNamespaces = usesNamespaces
    self.log = log
    waiting = WaitingWorkers(depthMax: WireLimits.callDepthMax, limit: limits.pythonWaitingWorkers)
  }

  // MARK: Asking

  public func prepare(_ unit: SourceUnit, completion: @escaping (Result<Void, RPCError>) -> Void) {
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
    loads.append(PythonJob(.load(completion), unit: known, deadline: nil))
    startWaiting()
  }

  public func invoke(_ invocation: Invocation) {
    let unit = unitsByObject[ObjectIdentifier(invocation.unit)] ?? register(invocation.unit)
    let job = PythonJob(.call(invocation), unit: unit, deadline: invocation.deadline)
    invocation.state = job
    submit(job)
  }

  public func cancel(_ invocation: Invocation, reason: RPCError) {
    guard let job = invocation.state as? PythonJob, !job.isFinished else { return }
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

  public func forget(digests: [String]) {
    let forgotten = Set(digests)
    let units = unitsByKey.values.filter { forgotten.contains($0.key.digest) }
    for unit in units {
      unitsByKey[unit.key] = nil
      unitsByObject[ObjectIdentifier(unit.unit)] = nil
    }
    for worker in workers.values { worker.forget(units: units.map(\.id), digests: digests) }
  }

  public func shutdown() {
    isShutDown = true
    watch.stop()
    let gone = RPCError(.unavailable, "the server is shutting down", executed: .maybe)
    for job in takeEverything() { job.finish(.failure(gone)) }
    parent?.stop()
    if let ending = parent?.ending { endings.append(ending) }
    parent = nil
    for ending in endings { ending.wait() }
    endings = []
  }

  private func register(_ unit: SourceUnit) -> PythonUnit {
    let key = PythonUnit.Key(unit.procedure)
    let known: PythonUnit
    if let old = unitsByKey[key] {
      // The same procedure in a new generation: its workers know it already.
      unitsByObject[ObjectIdentifier(old.unit)] = nil
      old.unit = unit
      known = old
    } else {
      lastUnitID += 1
      known = PythonUnit(id: lastUnitID, unit: unit)
      unitsByKey[key] = known
    }
    unitsByObject[ObjectIdentifier(unit)] = known
    return known
  }

  // MARK: Jobs

  private func submit(_ job: PythonJob) {
    guard !isShutDown else {
      return job.finish(.failure(RPCError(.unavailable, "the server is shutting down")))
    }
    let waitingCalls = queue.count(at: job.depth)
    if queue.isEmpty(from: job.depth), waiting.mayStart(depth: job.depth),
      let worker = takeWorker(for: job.unit, limit: limits.pythonWorkers)
    {
      worker.start(job)
    } else if waitingCalls >= limits.pythonQueue {
      job.finish(
        .failure(
          RPCError(
            .resourceExhausted,
            "\(waitingCalls) calls wait for a Python worker, the limit is \(limits.pythonQueue)",
            actual: waitingCalls + 1, limit: limits.pythonQueue, unit: .calls)))
    } else {
      job.place = queue.append(job, depth: job.depth)
      startWaiting()
    }
  }

  /// Workers whose calls run, and do not wait for other calls.
  private var runningWorkers: Int { workers.count - idle.count - waiting.count }

  /// Whether calls or loads are in progress or wait.
  internal var isBusy: Bool { idle.count < workers.count || !orphans.isEmpty || queue.count > 0 }

  /// An idle worker, one that knows the unit if there is one, or a new one; nil where as many run as may.
  internal func takeWorker(for unit: PythonUnit, limit: Int) -> PythonWorker? {
    guard runningWorkers < limit else { return nil }
    if let index = idle.lastIndex(where: { $0.knows(unit) }) { return idle.remove(at: index) }
    return idle.popLast() ?? fork()
  }

  /// Gives waiting calls to free workers.
  internal func startWaiting() {
    startLoading()
    while runningWorkers < limits.pythonWorkers, let job = queue.popNext(where: waiting.mayStart) {
      job.place = nil
      if let deadline = job.deadline, deadline <= loop.now {
        job.finish(
          .failure(RPCError(.deadlineExceeded, "the deadline passed before a Python worker was free")))
      } else if let worker = takeWorker(for: job.unit, limit: limits.pythonWorkers) {
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
      if let worker = takeWorker(for: job.unit, limit: limits.pythonWorkers + 1) {
        worker.start(job)
      } else {
        job.finish(.failure(startFailure))
      }
    }
  }

  private var startFailure: RPCError {
    lastFailure?.error ?? RPCError(.unavailable, "Python cannot be started")
  }

  private func failWaiting() {
    let error = startFailure
    for job in queue.removeAll() {
      job.place = nil
      job.finish(.failure(error))
    }
  }

  /// The procedure that the workers know by this number.
  internal func unit(_ id: UInt32) -> PythonUnit? {
    unitsByKey.values.first { $0.id == id }
  }
}
