enum WatchCommand: Command {
  static let name = "watch"
  static let group = CommandGroup.measuring
  static let summary = "run a command again and again until Ctrl-C"
  static let grammar = Grammar(
    flags: [.init("-n", value: .init("COUNT", .count), help: "stop after so many times")],
    .init("TIME", .duration, .optional), .init("COMMAND", .line, .requiredRest))
  static let details = """
    TIME is the pause between two runs, 2 seconds unless another is given. It fails when the last run failed.
    """
  static let examples = [
    CommandExample("watch servers", "every two seconds"),
    CommandExample("watch 500ms -n 10 stats s1", "ten times"),
  ]

  static func run(_ input: CommandInput, in session: ShellSession) async throws(CommandFailure) {
    let pause = input.words.word("TIME").flatMap { Quantity.duration(parsing: $0) } ?? .seconds(2)
    let count = input.words.flag("-n").flatMap { Int($0.plainText) }
    var round = 0
    var hasFailed = false
    let style = input.output.renderer.style
    while count.map({ round < $0 }) ?? true {
      // Gathered first, so that the screen changes at once.
      let output = CollectingOutput(renderer: input.output.renderer)
      hasFailed = false
      do throws(CommandFailure) {
        try await session.execute(input.nested, output)
      } catch {
        hasFailed = true
        if error.kind == .interrupted || error.kind == .usage { throw error }
        output.add(output.renderer.render(error))
      }
      if input.isInteractive {
        let title =
          "\(input.nested.wordsText)  (every \(Quantity.duration(pause)), \(Timestamp.now()); Ctrl-C ends)"
        let text = output.text
        // Home, what is there overwritten line by line, the rest erased: no flicker.
        let body = (style.paint(title, .dim) + "\n" + text.err + text.out).replacing("\n", with: "\u{1b}[K\n")
        input.output.add(Renderer.Text(out: (round == 0 ? "\u{1b}[2J" : "") + "\u{1b}[H" + body + "\u{1b}[J"))
      } else {
        input.output.add(output.text)
      }
      round += 1
      if count.map({ round >= $0 }) ?? false || input.output.isClosed { break }
      do {
        try await Task.sleep(for: pause)
      } catch {
        break
      }
    }
    if hasFailed { throw .told }
  }
}
