import RPCClient
import RPCDeployment
import RPCProcedures
import RPCWire

enum ServicesCommand: Command {
  static let name = "services"
  static let group = CommandGroup.looking
  static let summary = "list the services: who provides them, who may call them"
  static let grammar = Grammar(.init("SERVER", .server, .optional))
  static let examples = [
    CommandExample("services", "all of them"), CommandExample("services s1", "those that s1 provides"),
  ]

  static func run(_ input: CommandInput, in session: ShellSession) async throws(CommandFailure) {
    let server = input.words.word("SERVER")
    let snapshot = await session.lookAround(at: server)
    var table = Table(
      [.init("service"), .init("providers"), .init("tenants"), .init("procedures", right: true)],
      empty: server.map { "\($0) provides no services" } ?? "init.yaml declares no services")
    for name in snapshot.serviceNames {
      let providers = snapshot.providers(of: name)
      if let server, !providers.contains(server) { continue }
      let told = snapshot.catalogues.values.lazy.compactMap { $0.service(name) }.first
      let tenants = snapshot.topology.service(name)?.tenants ?? told?.tenants ?? []
      let procedures = snapshot.procedures(on: server.map { [$0] }).filter { $0.signature.service == name }
      let mayCall = snapshot.identity.map { tenants.contains($0) } ?? true
      table.rows.append([
        .init(name, role: .name), .names(providers),
        .init(
          tenants.joined(separator: ", "), .list(tenants.map { .string($0) }), role: mayCall ? .plain : .dim),
        .number(Int64(Set(procedures.map(\.signature.name)).count)),
      ])
    }
    input.output.emit(.table(table))
  }
}
