internal import Glibc
internal import RPCSystem
internal import RPCTransport
package import RPCWire

/// What the launcher of the workers reports, and what follows from it.
extension WorkerPool: WorkerLauncherObserver {
  /// Lines that came past the language's own streams: from a program that a procedure started, or from the
  /// worker itself when it crashed.
  package func workerWrote(_ id: UInt32, _ bytes: ArraySlice<UInt8>) {
    guard let procedure = workers[id]?.latestUnit?.procedure ?? orphans[id]?.unit.procedure else { return }
    for line in bytes.split(separator: UInt8(ascii: "\n")) {
      log(
        ProcedureOutput(
          procedure: procedure, stream: .standardOutput, text: String(decoding: line, as: UTF8.self)))
    }
  }

  /// Counts what a call wrote past the language's own streams, which bound it themselves.
  package func workerWroteMuch(_ id: UInt32, _ count: Int) {
    guard let worker = workers[id], case .busy(let job) = worker.state else { return }
    job.rawOutputBytes += count
    // Some of it may be an earlier call's: a pipe's content and less than a report.
    guard job.rawOutputBytes > bounds.printBytes + 2 * WorkerOutput.reportBytes else { return }
    kill(worker)
    job.finish(
      .failure(
        RPCError(
          .executionException,
          "the procedure wrote more than \(bounds.printBytes) bytes to its standard output and error in one call; its worker was killed",
          executed: .maybe, limit: bounds.printBytes)))
    startWaiting()
  }

  package func workerUsedTooMuch(_ id: UInt32, used: Int, limit: Int) {
    let job: WorkerJob
    if let orphan = orphans.removeValue(forKey: id) {
      // The kernel ended it, and its connection was closed before this was told.
      job = orphan
    } else {
      guard let worker = workers[id], case .busy(let running) = worker.state else { return }
      kill(worker)
      job = running
    }
    job.finish(
      .failure(
        RPCError(
          .resourceExhausted,
          "the call used \(used) bytes of memory, with the processes that it started; the limit is \(limit). Its worker was killed",
          executed: .maybe, actual: used, limit: limit, unit: .bytes)))
    startWaiting()
  }

  package func workerStartedTooMany(_ id: UInt32, count: Int, limit: Int) {
    guard let worker = workers[id], case .busy(let job) = worker.state else { return }
    kill(worker)
    job.finish(
      .failure(
        RPCError(
          .resourceExhausted,
          "the call has \(count) processes, the limit is \(limit). Its worker was killed with them",
          executed: .maybe, actual: count, limit: limit)))
    startWaiting()
  }

  package func workerLeftSomething(_ id: UInt32) {
    // A call that has begun meanwhile must not suffer; the next look finds it again.
    guard let worker = workers[id], worker.isIdle else { return }
    kill(worker)
  }

  package func workerEnded(_ id: UInt32, _ end: WorkerEnd) {
    killed.remove(id)
    var job = orphans.removeValue(forKey: id)
    if let worker = workers.removeValue(forKey: id) {
      idle.removeAll { $0 === worker }
      if case .busy(let running) = worker.state { job = running }
      worker.end()
    }
    if let job { noteCrash(of: job, end) }
    job?.finish(.failure(describe(end)))
    startWaiting()
  }

  /// One of our own making, by which a call was ended, is none: it has no job any more.
  private func noteCrash(of job: WorkerJob, _ end: WorkerEnd) {
    guard job.invocation != nil else { return }
    let signature = job.unit.key.signature
    let how: String
    switch end {
    case .exited(let status): how = "with exit status \(status)"
    case .signalled(let signal): how = "by signal \(Self.signalName(signal))"
    case .notStarted: return
    }
    if let entry = quarantine.crashed(signature, how, now: loop.now) {
      warn("\(signature.overloadText) is in quarantine: \(entry.reason)")
    }
  }

  private func describe(_ end: WorkerEnd) -> RPCError {
    switch end {
    case .exited(let status):
      RPCError(
        .executionException, "the procedure ended its worker process with exit status \(status)",
        executed: .maybe)
    case .signalled(let signal):
      RPCError(
        .executionException, "the procedure's worker process was ended by signal \(Self.signalName(signal))",
        executed: .maybe)
    case .notStarted(EOPNOTSUPP):
      RPCError(
        .failedPrecondition,
        "this system allows no namespaces, which isolation 'required' needs: leave that out, of init.yaml and of the server's --isolation, for what there is"
      )
    case .notStarted(EPROTONOSUPPORT):
      RPCError(
        .failedPrecondition,
        "this system's Landlock knows no ports (it has since Linux 6.7), which a list in 'network' needs: write 'network: true' for all ports, or leave it out"
      )
    case .notStarted(ENOSYS):
      RPCError(
        .failedPrecondition,
        "this system has no Landlock or no seccomp, which isolation 'default' needs: start the server with --isolation none to run \(title) without"
      )
    case .notStarted(let code):
      RPCError(.unavailable, SystemError(code: code, operation: "fork a \(title) worker").description)
    }
  }

  private static func signalName(_ signal: Int32) -> String {
    let names = [
      SIGSEGV: "SIGSEGV", SIGBUS: "SIGBUS", SIGABRT: "SIGABRT", SIGKILL: "SIGKILL", SIGTERM: "SIGTERM",
      SIGFPE: "SIGFPE", SIGILL: "SIGILL", SIGINT: "SIGINT", SIGXCPU: "SIGXCPU", SIGXFSZ: "SIGXFSZ",
      SIGPIPE: "SIGPIPE", SIGSYS: "SIGSYS", SIGHUP: "SIGHUP", SIGQUIT: "SIGQUIT", SIGTRAP: "SIGTRAP",
      SIGALRM: "SIGALRM", SIGVTALRM: "SIGVTALRM", SIGPROF: "SIGPROF", SIGUSR1: "SIGUSR1", SIGUSR2: "SIGUSR2",
      SIGSTOP: "SIGSTOP", SIGTSTP: "SIGTSTP", SIGTTIN: "SIGTTIN", SIGTTOU: "SIGTTOU",
    ]
    return names[signal].map { "\(signal) (\($0))" } ?? "\(signal)"
  }

  package var workerViews: [WorkerView] {
    workers.values.map { WorkerView(id: $0.id, callsStarted: $0.callsStarted, isBusy: !$0.isIdle) }
  }

  package func workersAreConfined(_ tier: IsolationTier) {
    guard self.tier != tier else { return }
    self.tier = tier
    note("\(title) is isolated by \(tier.description)")
  }

  package func workersLost(_ error: RPCError, canStart: Bool) {
    if !canStart { lastFailure = RPCError(.unavailable, error.message) }
    let waiting = canStart ? [] : queue.removeAll() + loads.removeAll()
    let running = takeRunning()
    killed = []
    for job in running + waiting { job.finish(.failure(error)) }
    startWaiting()
  }
}
