import Testing

@testable import RPCShell

@Suite struct ParsedOnceTests {
  /// Gives lines as the editor does: Enter asks whether something is open.
  private final class GivenLines: PromptReader {
    private var lines: ArraySlice<String>
    private let advisor: any PromptAdvisor

    init(_ lines: [String], _ advisor: any PromptAdvisor) {
      self.lines = lines[...]
      self.advisor = advisor
    }

    func read(_ prompt: Prompt) -> PromptAnswer {
      guard var text = lines.popFirst() else { return .end }
      while advisor.openConstruct(text) != nil, let next = lines.popFirst() { text += "\n" + next }
      return .line(text)
    }

    func remember(_ line: String) {}
    func close() {}
  }

  @Test(
    "Enter parses a text once, to see whether it is whole, for the history and to run it",
    arguments: [
      ([" a = 5"], 1), ([" a = 5", " b = 6", " b = 6"], 2), ([" a = 5\n b = 6\n c = 7"], 1),
      // A text is another one with each row.
      ([" a = [1,", "2,", "3]", " b = 1"], 4),
    ])
  func parses(lines: [String], parses: Int) async {
    let counted = await Blocking.run {
      var options = Shell.Options()
      options.isQuiet = true
      let renderer = Renderer(format: .auto, style: .none, width: 80, isInteractive: true)
      let test = TestShell()
      let shell = InteractiveShell(
        test.session, StandardOutput(renderer: renderer), SignalSource([]), options)
      let exit = shell.converse(GivenLines(lines, shell))
      return (exit: exit, parses: shell.parsed.parses, value: test.session.snapshotWithoutStates.variables)
    }
    #expect(counted.exit == 0 && counted.parses == parses)
    #expect(counted.value.named["a"] != nil)
  }
}
