internal import Glibc
internal import RPCSystem
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
      program: program, limits: limits, usesNamespaces: usesNamespaces, loop: loop, observer: self)
    parent = started
    return started
  }

  internal func kill(_ worker: PythonWorker) {
    if worker.isIdle { idle.removeAll { $0 === worker } }
    worker.end()
    workers[worker.id] = nil
    parent?.kill(worker: worker.id)
  }

  internal func workerFinished(
    _ worker: PythonWorker, _ job: PythonJob, _ result: Result<[UInt8], RPCError>
  ) {
    // While some wait for others, more run for a moment than may start: a few of them are worth keeping.
    if worker.isIdle, idle.count >= limits.pythonWorkers { worker.end() }
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

  internal func call(
    _ procedure: String, _ arguments: [Value], on server: String?, deadline: UInt64?, depth: Int,
    completion: @escaping (Result<[Value], RPCError>) -> Void
  ) -> (() -> Void)? {
    guard let nested else {
      completion(.failure(RPCError(.unavailable, "procedures cannot call others here")))
      return nil
    }
    return nested.call(
      procedure, arguments, on: server, deadline: deadline, depth: depth, completion: completion)
  }

  internal func workerBeganWaiting(depth: Int) {
    waiting.began(depth: depth)
  }

  internal func workerEndedWaiting(depth: Int) {
    waiting.ended(depth: depth)
  }

  internal func takeRunning() -> [PythonJob] {
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
