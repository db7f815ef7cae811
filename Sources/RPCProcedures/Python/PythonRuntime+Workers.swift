internal import Glibc
internal import RPCTransport
internal import RPCWire

/// The workers' lives: how they come to be, what becomes of their jobs when they end.
extension PythonRuntime {
  internal func fork() -> PythonWorker? {
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
      workerWrote: { [weak self] id, bytes in self?.workerWrote(id, bytes) },
      workerWroteMuch: { [weak self] id, count in self?.workerWroteMuch(id, count) },
      workerEnded: { [weak self] id, end in self?.workerEnded(id, end) },
      ended: { [weak self] why in self?.parentEnded(why) })
    parent = started
    return started
  }

  internal func kill(_ worker: PythonWorker) {
    worker.end()
    workers[worker.id] = nil
    parent?.kill(worker: worker.id)
  }

  internal func workerFinished(
    _ worker: PythonWorker, _ job: PythonJob, _ result: Result<[UInt8], RPCError>
  ) {
    if worker.isIdle, workers.count > limits.pythonWorkers { worker.end() }
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

  /// Lines that came past Python's own streams: from a program that a procedure started, or from the
  /// interpreter itself when it crashed.
  private func workerWrote(_ id: UInt32, _ bytes: ArraySlice<UInt8>) {
    guard let procedure = workers[id]?.latestUnit?.procedure ?? orphans[id]?.unit.procedure else { return }
    for line in bytes.split(separator: UInt8(ascii: "\n")) {
      log(
        ProcedureOutput(
          procedure: procedure, stream: .standardOutput, text: String(decoding: line, as: UTF8.self)))
    }
  }

  /// Counts what a call wrote past Python's own streams, which bound it themselves.
  private func workerWroteMuch(_ id: UInt32, _ count: Int) {
    guard let worker = workers[id], case .busy(let job) = worker.state else { return }
    job.rawOutputBytes += count
    // Some of it may be an earlier call's: a pipe's content and less than a report.
    guard job.rawOutputBytes > limits.pythonPrintBytes + 2 * PythonParent.reportBytes else { return }
    kill(worker)
    job.finish(
      .failure(
        RPCError(
          .executionException,
          "the procedure wrote more than \(limits.pythonPrintBytes) bytes to its standard output and error in one call; its worker was killed",
          executed: .maybe, limit: limits.pythonPrintBytes)))
    startWaiting()
  }

  internal func call(
    _ procedure: String, _ arguments: [Value], on server: String?, deadline: UInt64?,
    completion: @escaping (Result<[Value], RPCError>) -> Void
  ) -> (() -> Void)? {
    guard let nested else {
      completion(.failure(RPCError(.unavailable, "procedures cannot call others here")))
      return nil
    }
    return nested.call(procedure, arguments, on: server, deadline: deadline, completion: completion)
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
    let waiting = wasReady ? [] : queue.removeAll() + loads.removeAll()
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

  internal func takeEverything() -> [PythonJob] {
    takeRunning() + queue.removeAll() + loads.removeAll()
  }
}
