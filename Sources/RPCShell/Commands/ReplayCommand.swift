import RPCSystem
import RPCWire

enum ReplayCommand: Command {
  static let name = "replay"
  static let group = CommandGroup.scripting
  static let summary = "run a recording again, and check that its answers are the same"
  static let grammar = Grammar(
    flags: [
      .init("--check", help: "compare answers and times with the recorded ones; fails when any differs")
    ],
    .init("FILE", .file))
  static let examples = [
    CommandExample("replay --check smoke.rpc", "still the same?"),
    CommandExample("replay smoke.rpc", "just run it"),
  ]

  static func run(_ input: CommandInput, in session: ShellSession) async throws(CommandFailure) {
    guard let argument = input.words.argument("FILE") else { return }
    let path = argument.plainText
    guard input.words.has("--check") else {
      return try await session.runScript(path, stopsAtFailure: false, input.output)
    }
    let bytes: [UInt8]
    do throws(SystemError) {
      bytes = try WholeFile.read(FileContent.expanded(path), limit: ShellLimits.fileBytesMax)
    } catch {
      throw .usage("cannot read '\(path)': \(FileContent.reason(error, path))", at: argument.span)
    }
    let recording = try Recording(parsing: String(decoding: bytes, as: UTF8.self))
    let (count, checks) = (recording.entries.count, recording.checks)
    guard checks > 0 else {
      throw .other(
        "'\(path)' has nothing to check: no '#=', '#!' or '#<' below any command",
        hint: "'record FILE' writes them, and 'help record' says what they mean")
    }
    var table = Table(
      [.init("line", right: true), .init("command"), .init("difference", widthMax: 400)],
      empty: checks == count
        ? "all \(count) commands as recorded"
        : "\(checks) of \(count) commands say what to expect, all as recorded")
    let silent = CollectingOutput(renderer: input.output.renderer)
    for (index, entry) in recording.entries.enumerated() {
      input.output.progress("\(index + 1) of \(recording.entries.count): \(entry.line.written.firstLine)")
      let (outcome, _) = await session.observed(entry.line, silent)
      if Task.isCancelled { throw .interrupted }
      guard let mismatch = Recording.mismatch(entry, outcome) else { continue }
      table.rows.append([
        .init("\(entry.number)", .int(Int64(entry.number))), .init(entry.line.written.firstLine, role: .name),
        .init(mismatch, role: .bad),
      ])
    }
    input.output.progress(nil)
    input.output.emit(.table(table))
    if !table.rows.isEmpty {
      throw .other(
        "\(table.rows.count) of \(recording.entries.count) commands are not as recorded in \(path)",
        hint: "where an answer may differ each time, write '#= *' below the command in that file")
    }
  }
}
