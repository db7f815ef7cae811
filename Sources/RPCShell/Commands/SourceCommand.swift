import RPCClient
import RPCDeployment
import RPCProcedures
import RPCWire

enum SourceCommand: Command {
  static let name = "source"
  static let aliases = ["."]
  static let group = CommandGroup.looking
  static let summary = "show a procedure's source as deployed, or run a script file"
  static let grammar = Grammar(
    flags: [.init("-e", help: "stop the script at its first failure")], .init("SERVER", .server, .optional),
    .init("SERVICE.RPC|FILE", .procedure))
  static let details = """
    A procedure that is known is shown; anything else is a script whose commands are run. Write ./name for a file \
    that is named like a procedure.
    """
  static let examples = [
    CommandExample("source text.concat", "the deployed source"),
    CommandExample("source nightly.rpc", "run a script"),
  ]

  static func complete(_ slot: Grammar.Slot, _ context: CompletionContext) -> [Candidate]? {
    guard slot.kind == .procedure else { return nil }
    let isPath = context.partial.contains("/") || context.partial.hasPrefix("~")
    let files = FileCandidates.list(context.partial)
    return isPath ? files : CompletionSources.procedures(context) + files
  }

  static func run(_ input: CommandInput, in session: ShellSession) async throws(CommandFailure) {
    guard let word = input.words.argument("SERVICE.RPC|FILE") else { return }
    let text = word.plainText
    if !text.contains("/"), let name = try? ProcedureName(text) {
      let server = input.words.word("SERVER")
      if session.snapshotWithoutStates.catalogues.isEmpty { _ = await session.lookAround(at: server) }
      let overloads = session.snapshotWithoutStates.overloads(of: name, on: server.map { [$0] })
      if !overloads.isEmpty { return try await show(overloads, on: server, input.output, session) }
      if !FileContent.exists(text) {
        let known = session.snapshotWithoutStates.procedures(on: nil).map(\.signature.qualifiedName)
        throw .usage(
          "'\(text)' is neither a procedure nor a file" + Suggestion.text(for: text, among: known),
          at: word.span)
      }
    }
    try await session.runScript(text, stopsAtFailure: input.words.has("-e"), input.output)
  }

  private static func show(
    _ overloads: [Procedure], on server: String?, _ output: any Output, _ session: ShellSession
  ) async throws(CommandFailure) {
    for procedure in overloads {
      let providers =
        server.map { [$0] } ?? session.snapshotWithoutStates.providers(of: procedure.signature.service)
      var failure = CommandFailure.other("no server provides \(procedure.signature)")
      var text: String?
      for provider in providers where text == nil {
        do throws(RPCError) {
          text = try await session.backend.source(of: procedure.signature, on: provider)
        } catch {
          failure = .call(error, procedure: ReadSource.signature.qualifiedName, server: provider)
        }
      }
      guard let text else { throw failure }
      if output.renderer.format == .json {
        output.emit(
          .value(
            .map([.init("procedure", .string("\(procedure.signature)")), .init("source", .string(text))])))
      } else {
        if overloads.count > 1 || output.isInteractive {
          let mark = Languages.all[procedure.language]?.comment ?? "#"
          output.emit(.note("\(mark) \(procedure.signature)  [\(procedure.sourceName)]"))
        }
        output.emit(.text(text))
      }
    }
  }
}
