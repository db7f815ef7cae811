enum WaitCommand: Command {
  static let name = "wait"
  static let group = CommandGroup.scripting
  static let summary = "wait for a background job, or for all"
  static let grammar = Grammar(.init("JOB", .job, .optional))
  static let details = "Ctrl-C stops waiting; the job runs on until it ends or 'cancel' ends it."
  static let examples = [CommandExample("wait", "for all"), CommandExample("wait 2", "for job 2")]

  static func run(_ input: CommandInput, in session: ShellSession) async throws(CommandFailure) {
    let numbers: [Int]
    if let argument = input.words.argument("JOB") {
      numbers = [try session.job(argument)]
    } else {
      numbers = session.change { $0.jobs.running }
    }
    var failed = false
    for number in numbers {
      guard await session.wait(for: number) else { throw .interrupted }
      failed = failed || session.change { $0.jobs.job(number)?.status } == .failed
    }
    if failed { throw .told }
  }
}

extension ShellSession {
  /// The job that an argument names.
  func job(_ argument: Argument) throws(CommandFailure) -> Int {
    let text = argument.plainText.hasPrefix("%") ? String(argument.plainText.dropFirst()) : argument.plainText
    guard let number = Int(text), change({ $0.jobs.job(number) }) != nil else {
      throw .usage("unknown job '\(argument.plainText)': 'jobs' lists them", at: argument.span)
    }
    return number
  }
}
