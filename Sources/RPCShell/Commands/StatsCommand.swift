import RPCDeployment
import RPCProcedures
import RPCWire

enum StatsCommand: Command {
  static let name = "stats"
  static let group = CommandGroup.measuring
  static let summary = "a server's counters, and those of each procedure"
  static let grammar = Grammar(.init("SERVER", .server, .optional))
  static let details = "Without a server: the one in use, or every server in a row."
  static let examples = [
    CommandExample("stats s1", "what s1 has counted"), CommandExample("stats", "all servers"),
  ]

  static func run(_ input: CommandInput, in session: ShellSession) async throws(CommandFailure) {
    let snapshot = session.snapshotWithoutStates
    let chosen = input.words.word("SERVER") ?? snapshot.currentServer
    let servers = chosen.map { [$0] } ?? snapshot.serverNames
    var failed: CommandFailure?
    for server in servers {
      do throws(RPCError) {
        emit(try await session.backend.call(ReadStatistics(), on: server), server, input.output)
      } catch {
        if Task.isCancelled { throw .interrupted }
        let failure = CommandFailure.call(
          error, procedure: ReadStatistics.signature.qualifiedName, server: server)
        if servers.count == 1 { throw failure }
        input.output.add(input.output.renderer.render(failure))
        failed = .told
      }
    }
    if let failed { throw failed }
  }

  private static func emit(_ stats: ServerStatistics, _ server: String, _ output: any Output) {
    if output.renderer.format == .json {
      output.emit(.value(.map([.init("server", .string(server))] + (stats.encoded.mapValue ?? []))))
      return
    }
    var fields: [Fields.Field] = []
    for entry in stats.encoded.mapValue ?? [] {
      guard case .int(let number) = entry.value else { continue }
      let text =
        switch entry.key {
        case "bytes_in", "bytes_out": Quantity.bytes(number)
        case "uptime_ms": Quantity.duration(.milliseconds(number))
        default: Quantity.count(number)
        }
      fields.append(.init(entry.key.replacing("_ms", with: "").replacing("_", with: " "), text, entry.value))
    }
    output.emit(.fields(Fields(server, fields, titleRole: .name)))
    guard !stats.procedures.isEmpty else { return }
    var table = Table([
      .init("procedure"), .init("calls", right: true), .init("errors", right: true),
      .init("mean time", key: "mean_time_us", right: true),
    ])
    for procedure in stats.procedures {
      let calls = Int64(procedure.calls)
      let errors = Int64(procedure.errors)
      let mean = calls > 0 ? Duration.microseconds(Int64(procedure.microseconds) / calls) : nil
      let types = procedure.types.joined(separator: ", ")
      table.rows.append([
        .init("\(procedure.service).\(procedure.procedure)(\(types))", role: .name), .number(calls),
        .init(Quantity.count(errors), .int(errors), role: errors > 0 ? .bad : .plain),
        mean.map { .init(Quantity.duration($0), .int($0.nanoseconds / 1000)) } ?? .init("–", role: .dim),
      ])
    }
    output.emit(.table(table))
    for procedure in stats.procedures {
      guard let reason = procedure.quarantine else { continue }
      let types = procedure.types.joined(separator: ", ")
      output.emit(
        .text("\(procedure.service).\(procedure.procedure)(\(types)) is in quarantine: \(reason)"))
    }
  }
}
