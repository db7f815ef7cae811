import RPCDeployment

enum ApplyCommand: Command {
  static let name = "apply"
  static let group = CommandGroup.deploying
  static let summary = "give the servers what init.yaml says, as the initializer does"
  static let grammar = Grammar(
    flags: [.init("--force", help: "also to servers that are up to date, or were changed meanwhile")],
    .init("SERVER", .server, .rest))
  static let details = """
    All servers switch together or none does; only sources that a server lacks are sent. The shell goes on with the \
    new file. Ctrl-C before the switch leaves every server as it was.
    """
  static let examples = [
    CommandExample("apply", "deploy"), CommandExample("apply s1", "to one server alone"),
  ]

  static func run(_ input: CommandInput, in session: ShellSession) async throws(CommandFailure) {
    input.output.progress("deploying…")
    defer { input.output.progress(nil) }
    let (file, report) = try await session.deploy(
      input.words.all("SERVER").map(\.plainText), mode: .apply, force: input.words.has("--force"))
    input.output.emit(report, isDryRun: false)
    session.adopt(file)
    _ = await session.lookAround(at: nil)
    if !report.succeeded { throw .told }
  }
}
