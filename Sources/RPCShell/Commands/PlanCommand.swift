import RPCDeployment

enum PlanCommand: Command {
  static let name = "plan"
  static let group = CommandGroup.deploying
  static let summary = "show what 'apply' would change on which server"
  static let grammar = Grammar(.init("SERVER", .server, .rest))
  static let details = """
    Reads init.yaml again and checks it completely. Every server is sent what it lacks and loads it, so that what \
    'apply' would refuse is found; then all of it is undone.
    """
  static let examples = [CommandExample("plan", "all servers"), CommandExample("plan s1", "one of them")]

  static func run(_ input: CommandInput, in session: ShellSession) async throws(CommandFailure) {
    let (_, report) = try await session.deploy(
      input.words.all("SERVER").map(\.plainText), mode: .rehearse, force: false)
    input.output.emit(report, isDryRun: true)
    if !report.succeeded { throw .told }
  }
}

extension Output {
  func emit(_ report: DeploymentReport, isDryRun: Bool) {
    if renderer.format == .json {
      emit(.value(DeploymentJSON.value(of: report, isDryRun: isDryRun)))
    } else {
      add(
        Renderer.Text(
          out: DeploymentText(report, isDryRun: isDryRun, isColored: renderer.style.isColored).text))
    }
  }
}
