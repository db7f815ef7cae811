import RPCWire

extension Session {
  /// `… &`: runs a line behind the prompt and tells when it has ended.
  func startJob(_ line: CommandLine, _ output: any Output) throws(CommandFailure) {
    var inner = line
    inner.background = nil
    let text = inner.wordsText
    guard let number = change({ $0.jobs.add(text) }) else {
      throw .usage(
        "\(ShellLimits.jobsMax) jobs are running already: 'wait' for one or 'cancel' it", at: line.background)
    }
    let collected = CollectingOutput(renderer: output.renderer)
    let job = inner
    let task = Task {
      var status = JobTable.Job.Status.done
      do throws(CommandFailure) {
        try await execute(job, collected)
      } catch {
        status = error.kind == .interrupted ? .cancelled : .failed
        collected.add(collected.renderer.render(error, line: job))
      }
      let waiters = change { $0.jobs.finish(number, status) }
      output.job(number, text, status, collected.text)
      for waiter in waiters { waiter.resume() }
    }
    change { $0.jobs.attach(task, to: number) }
    output.emit(.note("[\(number)] \(text)"))
  }

  /// Waits until a job has ended, or this task is cancelled together with the job.
  func wait(for number: Int) async {
    await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        if !change({ $0.jobs.wait(number, continuation) }) { continuation.resume() }
      }
    } onCancel: {
      cancelJob(number)
    }
  }

  func cancelJob(_ number: Int) { change { $0.jobs.job(number)?.task }?.cancel() }
}
