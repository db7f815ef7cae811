import RPCSystem
import RPCWire
import Synchronization
import Testing

@testable import RPCShell

@Suite struct ScriptTests {
  private static func run(
    _ text: String, stops: Bool = false, format: OutputFormat = .auto
  ) async -> (text: Renderer.Text, outcome: ScriptRunner.Outcome, shell: TestShell) {
    let shell = TestShell(format)
    var runner = ScriptRunner(
      session: shell.session, output: shell.output, name: "x.rpc", stopsAtFailure: stops)
    let outcome = await runner.run(CommandReader(text: text))
    return (shell.output.text, outcome, shell)
  }

  @Test("answers come in the order of the lines")
  func order() async {
    let lines = (0..<2000).map { "text.concat \($0) x" }.joined(separator: "\n")
    let (text, outcome, _) = await Self.run(lines)
    #expect(text.out == (0..<2000).map { "\($0)x\n" }.joined())
    #expect(outcome.commands == 2000 && outcome.failures == 0)
  }

  @Test("a byte order mark before the first line is passed over, and only there")
  func byteOrderMark() async {
    let (text, outcome, _) = await Self.run("\u{feff}text.upper a\n\u{feff}text.upper b")
    #expect(text.out == "A\n" && outcome.failures == 1)
  }

  @Test("failures name their line, and the rest runs on")
  func failures() async {
    let (text, outcome, _) = await Self.run(
      "text.upper a\n\n# comment\nmath.divide 1 0\nnonsense\ntext.upper \"b\n\"\ntext.upper c")
    #expect(text.out == "A\nB\n\nC\n")
    #expect(
      text.err == """
        x.rpc:4: ExecutionException: division by zero (divide.py:2)
        x.rpc:5: error: unknown command 'nonsense'
        'help' lists the commands, 'procedures' what can be called

        """)
    #expect(outcome.failures == 2 && !outcome.isStopped)
  }

  @Test("-e stops at the first failure, before the next line is sent")
  func stops() async {
    let (text, outcome, shell) = await Self.run("text.upper a\nmath.divide 1 0\ntext.upper c", stops: true)
    #expect(text.out == "A\n" && outcome.isStopped && outcome.failures == 1)
    #expect(!shell.backend.state.withLock { $0.requests.contains { $0.arguments == ["c"] } })
  }

  @Test("calls with a time of their own are in flight together, too")
  func pipelinedTimeout() async {
    let shell = TestShell()
    var runner = ScriptRunner(session: shell.session, output: shell.output, name: nil, stopsAtFailure: false)
    let text =
      "text.upper a\n"
      + String(repeating: "call -t 5s s1 text.wait\ncall --timeout 2m text.wait\n", count: 20)
    let (session, backend) = (shell.session, shell.backend)
    let run = Task { await runner.run(CommandReader(text: text)) }
    // All of them at once, or this never ends.
    while backend.state.withLock({ $0.pending.count < 40 }) { await Task.yield() }
    let deadlines = backend.state.withLock {
      $0.requests.filter { $0.procedure == "text.wait" }.map(\.deadline)
    }
    #expect(Set(deadlines) == [.seconds(5), .seconds(120)] && deadlines.count == 40)
    run.cancel()
    #expect(await run.value.isInterrupted)
    _ = session
  }

  @Test("a line that uses an earlier result waits for it")
  func dependent() async {
    let (text, _, _) = await Self.run(
      "math.add 1 2\nmath.add _ 10\nx = math.add 5 5\nmath.add $x $x\nuse s2\ntext.upper a")
    #expect(text.out == "3\n13\n10\n20\nA!\n")
  }

  @Test("an unclosed quote at the end is told with its line")
  func unclosed() async {
    let (text, _, _) = await Self.run("text.upper a\ntext.upper \"b\nc\nd")
    #expect(text.out == "A\n" && text.err == "x.rpc:2: error: the quote (\") is never closed\n")
  }

  @Test("in JSON every command has one object, errors too")
  func json() async {
    let (text, _, _) = await Self.run("text.upper a\nmath.divide 1 0\nnonsense", format: .json)
    let lines = text.out.split(separator: "\n")
    #expect(lines.count == 3 && text.err.isEmpty)
    #expect(lines[1].contains(#""exception":"ExecutionException""#) && lines[1].contains(#""at":"x.rpc:2""#))
    #expect(lines[2].contains(#""exception":"UsageError""#))
  }
}
