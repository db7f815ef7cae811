enum TimeCommand: Command {
  static let name = "time"
  static let group = CommandGroup.measuring
  static let summary = "run a command and show how long it took"
  static let grammar = Grammar(.init("COMMAND", .line, .requiredRest))
  static let examples = [CommandExample("time call s2 math.add 1 2", "how long does it take from here")]

  static func run(_ input: CommandInput, in session: ShellSession) async throws(CommandFailure) {
    let started = ContinuousClock.now
    var failure: CommandFailure?
    do throws(CommandFailure) {
      try await session.execute(input.nested, input.output)
    } catch {
      failure = error
    }
    // Said on standard error, in scripts too: it was asked for.
    let text = Quantity.duration(ContinuousClock.now - started)
    input.output.add(Renderer.Text(err: input.output.renderer.style.paint("took \(text)", .dim) + "\n"))
    if let failure { throw failure }
  }
}
