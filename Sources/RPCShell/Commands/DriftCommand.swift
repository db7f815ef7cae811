import RPCClient
import RPCDeployment
import RPCProcedures
import RPCWire

enum DriftCommand: Command {
  static let name = "drift"
  static let group = CommandGroup.deploying
  static let summary = "compare what the servers run with what init.yaml says"
  static let grammar = Grammar(.init("SERVER", .server, .rest))
  static let details = """
    By the SHA-256 of each source, procedure by procedure. Fails when anything differs, so that a script can watch \
    for it: rpc-client -c drift.
    """
  static let examples = [CommandExample("drift", "all servers"), CommandExample("drift s1", "one of them")]

  static func run(_ input: CommandInput, in session: ShellSession) async throws(CommandFailure) {
    let (_, report) = try await session.deploy(
      input.words.all("SERVER").map(\.plainText), mode: .compare, force: false)
    var table = Table(
      [
        .init("server"), .init("procedure", widthMax: 80), .init("drift"), .init("running"), .init("file"),
        .init("reason", widthMax: 200),
      ],
      empty: "no drift: every server runs what \(session.network?.path ?? "the file") says")
    var isUnreachable = false
    for server in report.servers {
      let name = server.server.name
      guard let plan = server.plan else {
        isUnreachable = true
        let (drift, reason) = why(server.outcome)
        table.rows.append(row(name, "", drift, .bad, nil, nil, reason))
        continue
      }
      for procedure in plan.added {
        table.rows.append(row(name, "\(procedure.signature)", "missing", .bad, nil, procedure))
      }
      for change in plan.changed {
        let what = change.details.count == 1 ? change.details[0].prefix { $0 != " " } : "differs"
        table.rows.append(
          row(name, "\(change.new.signature)", String(what), .warning, change.old, change.new))
      }
      for procedure in plan.removed {
        table.rows.append(row(name, "\(procedure.signature)", "not in the file", .warning, procedure, nil))
      }
      for note in plan.notes { table.rows.append(row(name, note, "network", .warning, nil, nil)) }
    }
    if !isUnreachable {
      table.columns.removeLast()
      for index in table.rows.indices { table.rows[index].removeLast() }
    }
    input.output.emit(.table(table))
    if isUnreachable || !table.rows.isEmpty { throw .told }
  }

  /// Why a server could not be compared.
  private static func why(_ outcome: DeploymentReport.Outcome) -> (drift: String, reason: String) {
    switch outcome {
    case .missed(let error): ("not reached", error.message)
    case .refused(let error): ("refused", error.message)
    case .unconfirmed(let error): ("unknown", error.message)
    case .upToDate, .deployed, .planned, .leftAlone: ("unknown", "the server did not say what it runs")
    }
  }

  private static func row(
    _ server: String, _ what: String, _ drift: String, _ role: TextRole, _ old: Procedure?,
    _ new: Procedure?, _ reason: String = ""
  ) -> [Table.Cell] {
    func digest(_ procedure: Procedure?) -> Table.Cell {
      procedure.map { .init(String($0.digest.prefix(8)), .string($0.digest), role: .dim) }
        ?? .init("–", .null, role: .dim)
    }
    return [
      .init(server, role: .name), .init(what), .init(drift, role: role), digest(old), digest(new),
      .init(reason, reason.isEmpty ? .null : .string(reason)),
    ]
  }
}
