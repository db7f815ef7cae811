internal import RPCSystem
internal import RPCTransport
internal import RPCWire

/// The workers' lives: how they come to be, what becomes of their jobs when they end.
extension WorkerPool {
  internal func launch(_ order: WorkerOrder) -> WorkerConnection? {
    do throws(RPCError) {
      let pair: SocketPair
      do throws(SystemError) {
        pair = try Socket.pair()
      } catch {
        throw notStarted(error)
      }
      lastWorkerID &+= 1
      let worker = try attach(pair, lastWorkerID, order)
      workers[worker.id] = worker
      return worker
    } catch {
      lastFailure = error
      return nil
    }
  }

  private func attach(
    _ pair: consuming SocketPair, _ id: UInt32, _ order: WorkerOrder
  ) throws(RPCError) -> WorkerConnection {
    var worker: Result<WorkerConnection, RPCError>?
    pair.split { near, far in
      do throws(RPCError) {
        try launcher.launch(id, order, serving: far)
        do throws(SystemError) {
          worker = .success(
            try WorkerConnection(
              id: id, order: order, descriptor: near, loop: loop, limits: limits, bounds: bounds, pool: self))
        } catch {
          throw notStarted(error)
        }
      } catch {
        worker = .failure(error)
      }
    }
    guard let worker else { preconditionFailure("split always calls its body") }
    return try worker.get()
  }

  private func notStarted(_ error: SystemError) -> RPCError {
    RPCError(.unavailable, "no \(title) worker can be started: \(error)")
  }

  internal func kill(_ worker: WorkerConnection) {
    if worker.isIdle { idle.removeAll { $0 === worker } }
    worker.end()
    if workers.removeValue(forKey: worker.id) != nil { killed.insert(worker.id) }
    launcher.kill(worker.id)
  }

  /// Whether a call of a unit finds an idle worker, or may have one started. Callers that cancel at once have workers
  /// killed and started faster than a launcher can do it: calls wait for it then, rather than be more orders to it.
  internal func mayTakeWorker(for unit: WorkerUnit) -> Bool {
    killed.count < bounds.killedWorkers || idleIndex(for: unit, order(for: unit)) != nil
  }

  internal func workerFinished(
    _ worker: WorkerConnection, _ job: WorkerJob, _ result: Result<[UInt8], RPCError>
  ) {
    // While some wait for others, more run for a moment than may start: a few of them are worth keeping.
    if worker.isIdle, idle.count >= bounds.workers || hasOldSecrets(worker) { worker.end() }
    if worker.isIdle {
      idle.append(worker)
    } else {
      workers[worker.id] = nil
    }
    job.finish(result)
    startWaiting()
  }

  /// A source takes too long to load: nothing but a kill is sure to end it.
  internal func workerOverran(_ worker: WorkerConnection, _ job: WorkerJob) {
    kill(worker)
    job.finish(
      .failure(
        RPCError(.deadlineExceeded, "loading took more than \(limits.loadMilliseconds) ms", executed: .maybe))
    )
    startWaiting()
  }

  internal func workerMisbehaved(_ worker: WorkerConnection, _ job: WorkerJob?, _ what: String) {
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
  internal func workerHungUp(_ worker: WorkerConnection) {
    idle.removeAll { $0 === worker }
    if case .busy(let job) = worker.state {
      job.worker = nil
      orphans[worker.id] = job
    }
    kill(worker)
  }

  internal func workerBeganWaiting(depth: Int) {
    waiting.began(depth: depth)
  }

  internal func workerEndedWaiting(depth: Int) {
    waiting.ended(depth: depth)
  }

  internal func takeRunning() -> [WorkerJob] {
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

  internal func takeEverything() -> [WorkerJob] {
    takeRunning() + queue.removeAll() + loads.removeAll()
  }
}
