import RPCSystem

enum RecordCommand: Command {
  static let name = "record"
  static let group = CommandGroup.scripting
  static let summary = "write what is typed, and what it answers, into a script"
  static let grammar = Grammar(.init("FILE|stop", .file, .optional))
  static let details = """
    The script runs again with 'source' or rpc-client -f, and 'replay --check' compares its answers with those of \
    today. Edit it: '#= *' expects any value. Existing files are not overwritten.
    """
  static let examples = [
    CommandExample("record smoke.rpc", "from now on"), CommandExample("record stop", "that was it"),
    CommandExample("record", "is it on?"),
  ]

  static func run(_ input: CommandInput, in session: ShellSession) async throws(CommandFailure) {
    guard let argument = input.words.argument("FILE|stop") else {
      input.output.emit(
        .text(session.change { $0.recorder?.path }.map { "recording into \($0)" } ?? "not recording"))
      return
    }
    let path = argument.plainText
    if path == "stop" {
      guard let recorder = session.change({ $0.recorder }) else {
        throw .usage("nothing is being recorded", at: argument.span)
      }
      session.change { $0.recorder = nil }
      input.output.emit(.note("recorded into \(recorder.path)"))
      return
    }
    do throws(SystemError) {
      let identity = session.snapshotWithoutStates.identity
      let recorder = try Recorder(FileContent.expanded(path), identity: identity)
      session.change { $0.recorder = recorder }
    } catch {
      throw .usage("cannot write '\(path)': \(error.reason)", at: argument.span)
    }
  }
}
