enum UseCommand: Command {
  static let name = "use"
  static let group = CommandGroup.session
  static let summary = "choose the server that calls go to"
  static let grammar = Grammar(.init("SERVER", .server, .optional))
  static let details = "Without a server it shows the one in use; 'use -' goes back to any provider."
  static let examples = [
    CommandExample("use s1", "calls go to s1 from now on"), CommandExample("use -", "to any provider again"),
  ]

  static func run(_ input: CommandInput, in session: ShellSession) async throws(CommandFailure) {
    guard let server = input.words.word("SERVER") else {
      let current = session.snapshotWithoutStates.currentServer
      input.output.emit(.text(current ?? "any provider"))
      return
    }
    session.use(server == "-" ? nil : server)
  }
}
