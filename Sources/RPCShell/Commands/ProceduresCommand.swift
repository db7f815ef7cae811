import RPCClient
import RPCDeployment
import RPCProcedures
import RPCWire

enum ProceduresCommand: Command {
  static let name = "procedures"
  static let aliases = ["rpcs"]
  static let group = CommandGroup.looking
  static let summary = "list what can be called, with signatures"
  static let grammar = Grammar(
    flags: [.init("-a", "--all", help: "the servers' own service 'system' too")],
    .init("SERVER", .server, .optional), .init("SERVICE|PATTERN", .service, .optional))
  static let details = """
    PATTERN is a service, a procedure, or a part of their names with * and ?: 'text', 'text.c*', '*add*'. A server \
    that is down shows what init.yaml declares for it.
    """
  static let examples = [
    CommandExample("procedures", "everything"), CommandExample("procedures s2", "what s2 has"),
    CommandExample("procedures text", "those of the service text"),
    CommandExample("procedures s2 *add*", "those of s2 with add in their name"),
  ]

  static func run(_ input: CommandInput, in session: ShellSession) async throws(CommandFailure) {
    let server = input.words.word("SERVER")
    let snapshot = await session.lookAround(at: server)
    var table = Table(
      [
        .init("procedure"), .init("arguments", widthMax: 80), .init("returns"), .init("servers"),
        .init("about", widthMax: 60),
      ], empty: server.map { "\($0) has no procedures" } ?? "there are no procedures")
    let names = server.map { [$0] }
    let pattern = input.words.argument("SERVICE|PATTERN")
    let text = pattern?.plainText
    let isAll = input.words.has("-a") || text == SystemContract.service
    var procedures = isAll ? snapshot.procedures(on: names) : snapshot.listedProcedures(on: names)
    if let pattern, let text {
      let glob = NamePattern(text)
      procedures = procedures.filter { glob.matches($0.signature) }
      guard !procedures.isEmpty else {
        let known =
          snapshot.serverNames + snapshot.serviceNames
          + snapshot.procedures(on: names).map(\.signature.qualifiedName)
        let place = server.map { " on \($0)" } ?? ""
        throw .usage(
          "no service or procedure\(place) matches '\(text)'" + Suggestion.text(for: text, among: known),
          at: pattern.span)
      }
    }
    for procedure in procedures {
      let signature = procedure.signature
      let servers = snapshot.serverNames.filter { name in
        snapshot.procedures(on: name).contains { $0.signature == signature }
      }
      table.rows.append([
        .init(signature.qualifiedName, role: .name),
        .init(
          "(\(signature.parameters.map(\.description).joined(separator: ", ")))",
          .list(signature.parameters.map { .string("\($0)") }), role: .type),
        .init(signature.returnsText, .list(signature.returns.map { .string("\($0)") }), role: .type),
        .names(servers),
        .init(
          procedure.documentation?.firstLine ?? "", procedure.documentation.map { .string($0) } ?? .null,
          role: .dim),
      ])
    }
    if !table.rows.contains(where: { !$0[4].text.isEmpty }) {
      table.columns.removeLast()
      for index in table.rows.indices { table.rows[index].removeLast() }
    }
    input.output.emit(.table(table))
    if snapshot.catalogues.isEmpty, !snapshot.declared.isEmpty {
      input.output.emit(.note("(no server answers: this is what init.yaml declares)"))
    }
  }
}

extension Signature {
  /// `int`, `None`, `(int, str)`.
  var returnsText: String {
    switch returns.count {
    case 0: "None"
    case 1: "\(returns[0])"
    default: "(" + returns.map(\.description).joined(separator: ", ") + ")"
    }
  }
}

extension String {
  var firstLine: String { String(prefix { $0 != "\n" }) }
}
