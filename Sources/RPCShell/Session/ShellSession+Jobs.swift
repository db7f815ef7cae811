import RPCWire

extension ShellSession {
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
      for waiter in waiters { waiter.answer(true) }
    }
    change { $0.jobs.attach(task, to: number) }
    output.emit(.note("[\(number)] \(text)"))
  }

  /// Waits until a job has ended. False when this task was cancelled before that: the job runs on.
  func wait(for number: Int) async -> Bool {
    let end = FirstAnswer<Bool>()
    if !change({ $0.jobs.wait(number, end) }) { end.answer(true) }
    return await withTaskCancellationHandler {
      await end.value()
    } onCancel: {
      end.answer(false)
    }
  }

  func cancelJob(_ number: Int) { change { $0.jobs.job(number)?.task }?.cancel() }
}
