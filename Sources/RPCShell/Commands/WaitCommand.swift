enum WaitCommand: Command {
  static let name = "wait"
  static let group = CommandGroup.scripting
  static let summary = "wait for a background job, or for all"
  static let grammar = Grammar(.init("JOB", .job, .optional))
  static let details = "Ctrl-C while waiting cancels the job."
  static let examples = [CommandExample("wait", "for all"), CommandExample("wait 2", "for job 2")]

  static func run(_ input: CommandInput, in session: Session) async throws(CommandFailure) {
    let numbers: [Int]
    if let argument = input.words.argument("JOB") {
      numbers = [try session.job(argument)]
    } else {
      numbers = session.change { $0.jobs.running }
    }
    var failed = false
    for number in numbers {
      await session.wait(for: number)
      if Task.isCancelled { throw .interrupted }
      failed = failed || session.change { $0.jobs.job(number)?.status } == .failed
    }
    if failed { throw .told }
  }
}

extension Session {
  /// The job that an argument names.
  func job(_ argument: Argument) throws(CommandFailure) -> Int {
    let text = argument.plainText.hasPrefix("%") ? String(argument.plainText.dropFirst()) : argument.plainText
    guard let number = Int(text), change({ $0.jobs.job(number) }) != nil else {
      throw .usage("there is no job '\(argument.plainText)': 'jobs' lists them", at: argument.span)
    }
    return number
  }
}

@section("rpc_commands") @used
private let registration: CommandRegistration = { register(WaitCommand.self, $0) }
