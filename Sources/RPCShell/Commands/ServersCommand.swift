import RPCClient
import RPCDeployment
import RPCWire

enum ServersCommand: Command {
  static let name = "servers"
  static let group = CommandGroup.looking
  static let summary = "list the servers: state, address, round trip, generation, calls"
  static let grammar = Grammar()
  static let details = """
    Every server is asked at once; one that does not answer within two seconds is shown as down, with the reason.
    """
  static let examples = [
    CommandExample("servers", "the state of each"), CommandExample("servers | grep up", "those that are up"),
  ]

  private struct Status {
    var state: String
    var role: TextRole
    var roundTrip: Duration?
    var generation: Int?
    var calls: Int64?
    var reason: String?
  }

  static func run(_ input: CommandInput, in session: ShellSession) async throws(CommandFailure) {
    let servers = session.snapshot.topology.servers
    let backend = session.backend
    let statuses = await withTaskGroup(of: (Int, Status).self) { group in
      for (index, server) in servers.enumerated() {
        group.addTask { (index, await status(of: server, backend, session)) }
      }
      var statuses = [Status?](repeating: nil, count: servers.count)
      for await (index, status) in group { statuses[index] = status }
      return statuses
    }
    if Task.isCancelled { throw .interrupted }
    var table = Table(
      [
        .init("server"), .init("state"), .init("address"),
        .init("round trip", key: "round_trip_us", right: true),
        .init("generation", right: true), .init("calls", right: true), .init("reason", widthMax: 200),
      ], empty: "init.yaml declares no servers")
    for (server, status) in zip(servers, statuses) {
      guard let status else { continue }
      let host = server.host.contains(":") ? "[\(server.host)]" : server.host
      table.rows.append([
        .init(server.name, role: .name), .init(status.state, role: status.role),
        .init("\(host):\(server.port)"),
        status.roundTrip.map { .init(Quantity.duration($0), .int($0.nanoseconds / 1000)) }
          ?? .init("–", .null, role: .dim),
        .number(status.generation.map { Int64($0) }), .number(status.calls),
        .init(status.reason ?? "", status.reason.map { .string($0) } ?? .null),
      ])
    }
    if !statuses.contains(where: { $0?.reason != nil }) {
      table.columns.removeLast()
      for index in table.rows.indices { table.rows[index].removeLast() }
    }
    input.output.emit(.table(table))
  }

  private static func status(
    of server: Topology.Server, _ backend: any ShellBackend, _ session: ShellSession
  ) async -> Status {
    do throws(RPCError) {
      let roundTrip = try await backend.ping(server.name, within: ShellLimits.pingWait)
      session.noteAnswer(of: server.name)
      let stats = try? await backend.call(ReadStatistics(), on: server.name)
      var generation: Int?
      if case .up(let serial, _) = backend.state(of: server.name) { generation = serial }
      return Status(
        state: "up", role: .good, roundTrip: roundTrip, generation: generation,
        calls: stats.map { Int64($0.calls) })
    } catch {
      session.noteSilence(of: server.name, error)
      return Status(state: "down", role: .bad, reason: error.beside(server).message)
    }
  }
}
