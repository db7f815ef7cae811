enum RepeatCommand: Command {
  static let name = "repeat"
  static let group = CommandGroup.measuring
  static let summary = "run a command several times"
  static let grammar = Grammar(
    flags: [.init("-e", help: "stop at the first failure")], .init("COUNT", .count),
    .init("COMMAND", .line, .requiredRest))
  static let examples = [CommandExample("repeat 3 math.add 1 2", "three calls, one after the other")]

  static func run(_ input: CommandInput, in session: ShellSession) async throws(CommandFailure) {
    let count = input.words.word("COUNT").flatMap { Int($0) } ?? 1
    var failures = 0
    for _ in 0..<count {
      if Task.isCancelled { throw .interrupted }
      if input.output.isClosed { break }
      do throws(CommandFailure) {
        try await session.execute(input.nested, input.output)
      } catch {
        if error.kind == .interrupted || error.kind == .usage || input.words.has("-e") { throw error }
        input.output.add(input.output.renderer.render(error))
        failures += 1
      }
    }
    if failures > 0 { throw .other("\(failures) of \(count) failed") }
  }
}
