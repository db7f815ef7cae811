enum CancelCommand: Command {
  static let name = "cancel"
  static let aliases = ["kill"]
  static let group = CommandGroup.scripting
  static let summary = "cancel a background job, on the server too"
  static let grammar = Grammar(.init("JOB", .job))
  static let examples = [CommandExample("cancel 1", "give up job 1")]

  static func run(_ input: CommandInput, in session: ShellSession) async throws(CommandFailure) {
    guard let argument = input.words.argument("JOB") else { return }
    session.cancelJob(try session.job(argument))
  }
}
