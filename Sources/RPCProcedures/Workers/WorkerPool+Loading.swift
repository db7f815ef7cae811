internal import RPCWire

extension WorkerPool {
  /// Ends the loading of sources that nobody waits for any more, so that it does not hold up the next ones: a
  /// source that hangs would for as long as loading may take.
  package func cancelPreparing(_ units: [SourceUnit]) {
    let cancelled = Set(units.map(ObjectIdentifier.init))
    let error = RPCError(.cancelled, "the deployment was ended while its sources were loaded")
    var ended: [WorkerJob] = []
    for job in loads.removeAll() {
      if cancelled.contains(ObjectIdentifier(job.unit.unit)) { ended.append(job) } else { loads.append(job) }
    }
    if let job = loading, !job.isFinished, cancelled.contains(ObjectIdentifier(job.unit.unit)) {
      if let worker = job.worker { kill(worker) }
      ended.append(job)
    }
    for job in ended { job.finish(.failure(error)) }
    startWaiting()
  }
}
