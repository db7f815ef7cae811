enum QuitCommand: Command {
  static let name = "quit"
  static let aliases = ["exit"]
  static let group = CommandGroup.session
  static let summary = "leave; Ctrl-D does the same"
  static let grammar = Grammar()
  static let details = "Jobs that are still running are cancelled."
  static let examples = [CommandExample("quit", "leave")]

  static func run(_ input: CommandInput, in session: ShellSession) async throws(CommandFailure) {
    session.end()
  }
}
