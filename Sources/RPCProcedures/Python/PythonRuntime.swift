internal import Glibc
public import RPCTransport
public import RPCWire

/// Runs Python procedures in worker processes: a bounded pool of them for each loop, forked from a warm
/// interpreter, one call at a time each, first come first served. A worker that runs out of time, crashes or
/// breaks the protocol is killed; its call fails, and nothing else does.
public final class PythonRuntime: ProcedureRuntime {
  private let loop: EventLoop
  private let limits: RuntimeLimits
  private let program: String
  internal let log: ProcedureOutput.Sink

  private var unitsByObject: [ObjectIdentifier: PythonUnit] = [:]
  private var unitsByKey: [PythonUnit.Key: PythonUnit] = [:]
  private var lastUnitID: UInt32 = 0

  private var parent: PythonParent?
  private var lastFailure: (error: RPCError, at: UInt64)?
  private var workers: [UInt32: PythonWorker] = [:]
  /// Idle workers; the last is the warmest.
  private var idle: [PythonWorker] = []
  /// Jobs of workers whose connection ended, until their parent tells how they ended.
  private var orphans: [UInt32: PythonJob] = [:]
  private var lastWorkerID: UInt32 = 0
  private var queue = PythonQueue()
  private var isShutDown = false

  /// - Parameters:
  ///   - program: the interpreter, found in PATH.
  ///   - log: takes what procedures print.
  public init(
    loop: EventLoop, limits: RuntimeLimits = RuntimeLimits(), program: String = "python3",
    log: @escaping ProcedureOutput.Sink = { _ in }
  ) {
    self.loop = loop
    self.limits = limits
    self.program = program
    self.log = log
  }

  // MARK: Asking

  public func prepare(_ unit: SourceUnit, completion: @escaping (Result<Void, RPCError>) -> Void) {
    guard unit.source.count <= limits.sourceBytes else {
      return completion(
        .failure(
          RPCError(
            .failedPrecondition,
            "the source has \(unit.source.count) bytes, the limit is \(limits.sourceBytes)",
            actual: unit.source.count, limit: limits.sourceBytes, source: unit.procedure.sourceName)))
    }
    let known = register(unit)
    submit(
      PythonJob(
        .load(completion), unit: known,
        deadline: loop.now &+ UInt64(limits.loadMilliseconds) &* 1_000_000), isBounded: false)
  }

  public func invoke(_ invocation: Invocation) {
    let unit = unitsByObject[ObjectIdentifier(invocation.unit)] ?? register(invocation.unit)
    let job = PythonJob(.call(invocation), unit: unit, deadline: invocation.deadline)
    invocation.state = job
    submit(job, isBounded: true)
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
      queue.noteFinished()
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
    let gone = RPCError(.unavailable, "the server is shutting down", executed: .maybe)
    for job in takeEverything() { job.finish(.failure(gone)) }
    parent?.stop(graceNanoseconds: 2_000_000_000)
    parent = nil
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

  private func submit(_ job: PythonJob, isBounded: Bool) {
    guard !isShutDown else {
      return job.finish(.failure(RPCError(.unavailable, "the server is shutting down")))
    }
    if queue.isEmpty, let worker = takeWorker(for: job.unit) {
      worker.start(job)
    } else if workers.isEmpty {
      // No worker and none to be had: waiting would be for ever.
      job.finish(.failure(lastFailure?.error ?? RPCError(.unavailable, "Python cannot be started")))
    } else if isBounded, queue.count >= limits.pythonQueue {
      job.finish(
        .failure(
          RPCError(
            .resourceExhausted,
            "\(queue.count) calls wait for a Python worker, the limit is \(limits.pythonQueue)",
            actual: queue.count + 1, limit: limits.pythonQueue)))
    } else {
      queue.append(job)
    }
  }

  /// An idle worker, one that knows the unit if there is one, or a new one.
  private func takeWorker(for unit: PythonUnit) -> PythonWorker? {
    if let index = idle.lastIndex(where: { $0.knows(unit) }) { return idle.remove(at: index) }
    if let worker = idle.popLast() { return worker }
    guard workers.count < limits.pythonWorkers else { return nil }
    return fork()
  }

  /// Gives waiting jobs to free workers.
  private func startWaiting() {
    while let job = queue.first {
      if let deadline = job.deadline, deadline <= loop.now {
        queue.removeFirst()
        job.finish(
          .failure(RPCError(.deadlineExceeded, "the deadline passed before a Python worker was free")))
        continue
      }
      guard let worker = takeWorker(for: job.unit) else {
        if workers.isEmpty { failWaiting() }
        return
      }
      queue.removeFirst()
      worker.start(job)
    }
  }

  private func failWaiting() {
    let error = lastFailure?.error ?? RPCError(.unavailable, "Python cannot be started")
    for job in queue.removeAll() { job.finish(.failure(error)) }
  }

  // MARK: Workers

  private func fork() -> PythonWorker? {
    do {
      let parent = try startedParent()
      lastWorkerID &+= 1
      let pair = try Socket.pair()
      let id = lastWorkerID
      let worker = try attach(pair, id, parent)
      workers[id] = worker
      return worker
    } catch let error as RPCError {
      lastFailure = (error, loop.now)
    } catch {
      lastFailure = (RPCError(.unavailable, "no Python worker can be started: \(error)"), loop.now)
    }
    return nil
  }

  private func attach(
    _ pair: consuming SocketPair, _ id: UInt32, _ parent: PythonParent
  ) throws -> PythonWorker {
    var worker: Result<PythonWorker, SystemError>?
    pair.split { near, far in
      do throws(SystemError) {
        try parent.fork(id, serving: far)
        worker = .success(
          try PythonWorker(id: id, descriptor: near, loop: loop, limits: limits, pool: self))
      } catch {
        worker = .failure(error)
      }
    }
    guard let worker else { preconditionFailure("split always calls its body") }
    return try worker.get()
  }

  private func startedParent() throws(RPCError) -> PythonParent {
    if let parent { return parent }
    if let lastFailure {
      // An interpreter that cannot run is not started again for every call.
      let wait = UInt64(limits.pythonRestartMilliseconds) &* 1_000_000
      if loop.now &- lastFailure.at < wait { throw lastFailure.error }
    }
    let started = try PythonParent(
      program: program, limits: limits, loop: loop,
      workerEnded: { [weak self] id, end in self?.workerEnded(id, end) },
      ended: { [weak self] why in self?.parentEnded(why) })
    parent = started
    return started
  }

  private func kill(_ worker: PythonWorker) {
    worker.end()
    workers[worker.id] = nil
    parent?.kill(worker: worker.id)
  }

  internal func workerFinished(
    _ worker: PythonWorker, _ job: PythonJob, _ result: Result<[UInt8], RPCError>
  ) {
    if worker.isIdle {
      idle.append(worker)
    } else {
      workers[worker.id] = nil
    }
    job.finish(result)
    startWaiting()
  }

  /// The job's time is up: nothing but a kill is sure to end it.
  internal func workerOverran(_ worker: PythonWorker, _ job: PythonJob) {
    kill(worker)
    let what =
      job.invocation == nil
      ? "loading took more than \(limits.loadMilliseconds) ms"
      : "the deadline passed while the procedure ran; its worker was killed"
    job.finish(.failure(RPCError(.deadlineExceeded, what, executed: .maybe)))
    startWaiting()
  }

  internal func workerMisbehaved(_ worker: PythonWorker, _ job: PythonJob?, _ what: String) {
    idle.removeAll { $0 === worker }
    kill(worker)
    job?.finish(
      .failure(
        RPCError(
          .executionException, "the procedure wrote to its worker's own socket (\(what)); it was killed",
          executed: .maybe)))
    startWaiting()
  }

  /// The connection ended. How the process did is known a moment later, unless it merely closed its end.
  internal func workerHungUp(_ worker: PythonWorker) {
    idle.removeAll { $0 === worker }
    if case .busy(let job) = worker.state {
      job.worker = nil
      orphans[worker.id] = job
    }
    kill(worker)
  }

  private func workerEnded(_ id: UInt32, _ end: PythonParent.WorkerEnd) {
    var job = orphans.removeValue(forKey: id)
    if let worker = workers.removeValue(forKey: id) {
      idle.removeAll { $0 === worker }
      if case .busy(let running) = worker.state { job = running }
      worker.end()
    }
    job?.finish(.failure(Self.describe(end)))
    startWaiting()
  }

  private static func describe(_ end: PythonParent.WorkerEnd) -> RPCError {
    switch end {
    case .exited(let status):
      RPCError(
        .executionException, "the procedure ended its worker process with exit status \(status)",
        executed: .maybe)
    case .signalled(let signal):
      RPCError(
        .executionException, "the procedure's worker process was ended by signal \(signalName(signal))",
        executed: .maybe)
    case .notForked(let code):
      RPCError(.unavailable, SystemError(code: code, operation: "fork a Python worker").description)
    }
  }

  private static func signalName(_ signal: Int32) -> String {
    let names = [
      SIGSEGV: "SIGSEGV", SIGBUS: "SIGBUS", SIGABRT: "SIGABRT", SIGKILL: "SIGKILL", SIGTERM: "SIGTERM",
      SIGFPE: "SIGFPE", SIGILL: "SIGILL", SIGINT: "SIGINT", SIGXCPU: "SIGXCPU", SIGXFSZ: "SIGXFSZ",
      SIGPIPE: "SIGPIPE", SIGSYS: "SIGSYS",
    ]
    return names[signal].map { "\(signal) (\($0))" } ?? "\(signal)"
  }

  /// The interpreter process is gone, and so are its workers: each asked to die with it.
  private func parentEnded(_ why: String) {
    let wasReady = parent?.isReady ?? false
    parent = nil
    let error = RPCError(
      .unavailable, "Python's parent process cannot be used: \(why)", executed: .maybe,
      retryAfterMilliseconds: limits.pythonRestartMilliseconds)
    if !wasReady { lastFailure = (RPCError(.unavailable, error.message), loop.now) }
    let waiting = wasReady ? [] : queue.removeAll()
    let running = takeRunning()
    for job in running + waiting { job.finish(.failure(error)) }
    startWaiting()
  }

  private func takeRunning() -> [PythonJob] {
    var jobs = Array(orphans.values)
    orphans = [:]
    idle = []
    for worker in workers.values {
      if case .busy(let job) = worker.state { jobs.append(job) }
      worker.end()
    }
    workers = [:]
    return jobs
  }

  private func takeEverything() -> [PythonJob] {
    takeRunning() + queue.removeAll()
  }
}
