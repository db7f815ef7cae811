package import RPCClient
package import RPCProcedures
import RPCWire

/// What the shell makes of text that it did not write itself, as plain values: for tools that check the shell's
/// readers against arbitrary input, such as the fuzzer.
package enum ShellText {
  package struct Command: Hashable, Sendable {
    /// Where its text ends.
    package var end: Int
    /// Where its words, values, issues and open brackets stand.
    package var spans: [Range<Int>]
    package var isUnfinished: Bool
  }

  /// The command that starts at `offset`.
  package static func command(in bytes: [UInt8], from offset: Int) -> Command {
    command(CommandLine(parsing: bytes, from: offset))
  }

  /// The first command of a text that arrives in pieces.
  package static func command(inPieces pieces: [[UInt8]]) -> Command {
    var text = pieces.first ?? []
    var lexer = Lexer(text)
    lexer.run()
    for piece in pieces.dropFirst() where !lexer.open.isEmpty {
      text += piece
      lexer.resume(with: piece)
    }
    return command(CommandLine(lexer, source: text))
  }

  private static func command(_ line: CommandLine) -> Command {
    var spans = line.words.flatMap { [$0.span] + Self.spans($0.literal) }
    spans += line.issues.map(\.span) + line.open.map(\.span)
    spans += [line.binding?.span, line.shell?.span, line.pipe?.span, line.background].compactMap { $0 }
    return Command(end: line.end, spans: spans, isUnfinished: line.isUnfinished)
  }

  private static func spans(_ literal: Literal) -> [Range<Int>] {
    switch literal.kind {
    case .list(let elements): [literal.span] + elements.flatMap(spans)
    case .map(let entries): [literal.span] + entries.flatMap { [$0.keySpan] + spans($0.value) }
    default: [literal.span]
    }
  }

  /// What is shown while a line is typed: where its completion starts, and the hint behind the cursor.
  package static func whileTyping(
    _ text: String, topology: Topology, procedures: [Procedure]
  ) -> (start: Int, hint: String?) {
    var snapshot = NetworkSnapshot(topology: topology)
    snapshot.declared = procedures
    snapshot.variables.append(7)
    snapshot.variables.bind("name", to: ["a", 1])
    return (Completion.complete(text, snapshot).start, Hint.hint(text, snapshot)?.text)
  }

  /// How many commands a recorded session has; nil where an expectation in it is wrong.
  package static func commands(inRecording text: String) -> Int? {
    (try? Recording(parsing: text))?.entries.count
  }

  package static func historyLine(_ entry: String) -> [UInt8] { HistoryFile.encoded(entry) }
  package static func historyEntry(_ line: [UInt8]) -> String { HistoryFile.decoded(line) }
}
