import RPCClient
import RPCDeployment
import RPCProcedures
import RPCWire

enum DescribeCommand: Command {
  static let name = "describe"
  static let group = CommandGroup.looking
  static let summary = "everything about a procedure, a service or a server"
  static let grammar = Grammar(
    .init("SERVER", .server, .optional), .init("SERVICE.RPC", .procedure, .optional))
  static let details = """
    Of a procedure: every overload's signature, its documentation, who provides it and who may call it, its language, \
    source digest, limits, and when the server got it. Of a service or a server: what belongs to it.
    """
  static let examples = [
    CommandExample("describe text.concat", "all overloads"),
    CommandExample("describe s1 text.concat", "as s1 has it"), CommandExample("describe s1", "the server"),
  ]

  static func run(_ input: CommandInput, in session: ShellSession) async throws(CommandFailure) {
    let server = input.words.word("SERVER")
    let snapshot = await session.lookAround(at: server)
    guard let word = input.words.argument("SERVICE.RPC") else {
      guard let server else {
        throw .usage("missing SERVICE.RPC, a service or a server", hint: "describe text.concat")
      }
      return try await describe(server: server, snapshot, input.output, session)
    }
    let text = word.plainText
    guard let name = try? ProcedureName(text) else {
      throw .usage("'\(text)' does not name a procedure", at: word.span)
    }
    let servers = server.map { [$0] }
    let overloads = snapshot.overloads(of: name, on: servers)
    if overloads.isEmpty {
      if snapshot.serviceNames.contains(text) { return describe(service: text, snapshot, input.output) }
      let known = snapshot.serviceNames + snapshot.procedures(on: servers).map(\.signature.qualifiedName)
      throw .usage(
        "'\(text)' is neither a procedure nor a service nor a server"
          + Suggestion.text(for: text, among: known),
        at: word.span)
    }
    var deployed: [String: String] = [:]
    for name in snapshot.serverNames where snapshot.catalogues[name] != nil {
      deployed[name] = await lastDeployment(of: name, session)
    }
    for procedure in overloads {
      input.output.emit(.fields(fields(procedure, snapshot, servers, deployed)))
    }
  }

  private static func fields(
    _ procedure: Procedure, _ snapshot: NetworkSnapshot, _ servers: [String]?, _ deployed: [String: String]
  ) -> Fields {
    let signature = procedure.signature
    let service = snapshot.topology.service(signature.service)
    let told = snapshot.catalogues.values.lazy.compactMap { $0.service(signature.service) }.first
    let providers = snapshot.providers(of: signature.service)
    let tenants = service?.tenants ?? told?.tenants ?? []
    var fields: [Fields.Field] = []
    if let documentation = procedure.documentation { fields.append(.init("about", documentation)) }
    fields.append(.init("providers", providers.joined(separator: ", "), .list(providers.map { .string($0) })))
    fields.append(
      .init(
        "tenants", tenants.isEmpty ? "all clients" : tenants.joined(separator: ", "),
        .list(tenants.map { .string($0) })))
    let source = procedure.sourceName.isEmpty ? "" : ", \(procedure.sourceName)"
    fields.append(
      .init("language", procedure.language.rawValue + source, .string(procedure.language.rawValue)))
    if procedure.function != signature.name { fields.append(.init("function", procedure.function)) }
    if !procedure.digest.isEmpty {
      fields.append(
        .init("source digest", String(procedure.digest.prefix(16)) + "…", .string(procedure.digest)))
    }
    var limits: [String] = []
    if let timeout = procedure.timeoutMilliseconds {
      limits.append("\(Quantity.duration(.milliseconds(timeout))) time")
    }
    if let memory = procedure.memoryBytes { limits.append("\(Quantity.bytes(Int64(memory))) memory") }
    fields.append(
      .init(
        "limits", limits.isEmpty ? "the server's" : limits.joined(separator: ", "),
        .map([
          .init("timeout_ms", procedure.timeoutMilliseconds.map { .int(Int64($0)) } ?? .null),
          .init("memory_bytes", procedure.memoryBytes.map { .int(Int64($0)) } ?? .null),
        ])))
    if let words = procedure.confinement.words {
      fields.append(
        .init("isolation", words.joined(separator: ", "), .list(words.map { .string($0) })))
    }
    if procedure.idempotent { fields.append(.init("idempotent", "yes: may be repeated", .bool(true))) }
    for name in servers ?? providers {
      if let when = deployed[name] { fields.append(.init("on \(name)", when)) }
      if let entry = snapshot.catalogues[name]?.quarantined.first(where: { $0.isOf(signature) }) {
        fields.append(
          .init("on \(name)", "in quarantine: \(entry.reason)", key: "quarantine_on_\(name)", role: .bad))
      }
      guard let other = snapshot.catalogues[name]?.procedures.first(where: { $0.signature == signature }),
        other.digest != procedure.digest
      else { continue }
      fields.append(
        .init(
          "on \(name)", "another source: \(other.digest.prefix(16))…", .string(other.digest), role: .warning))
    }
    return Fields("\(signature)", fields, titleRole: .name)
  }

  private static func describe(service name: String, _ snapshot: NetworkSnapshot, _ output: any Output) {
    let providers = snapshot.providers(of: name)
    let tenants = snapshot.topology.service(name)?.tenants ?? []
    let procedures = snapshot.procedures(on: nil).filter { $0.signature.service == name }
    output.emit(
      .fields(
        Fields(
          name,
          [
            .init("providers", providers.joined(separator: ", "), .list(providers.map { .string($0) })),
            .init("tenants", tenants.joined(separator: ", "), .list(tenants.map { .string($0) })),
            .init(
              "procedures", procedures.map { "\($0.signature)" }.joined(separator: "\n"),
              .list(procedures.map { .string("\($0.signature)") }), role: .type),
          ], titleRole: .name)))
  }

  private static func describe(
    server name: String, _ snapshot: NetworkSnapshot, _ output: any Output, _ session: ShellSession
  ) async throws(CommandFailure) {
    guard let server = snapshot.topology.server(name) else { return }
    var fields: [Fields.Field] = [.init("address", "\(server.host), port \(server.port)")]
    if let catalogue = snapshot.catalogues[name] {
      fields.append(.init("version", catalogue.version))
      fields.append(.init("generation", "\(catalogue.generation)", .int(Int64(catalogue.generation))))
      let status = try? await session.backend.call(DeployStatus(), on: name)
      if let status {
        if let time = deploymentTime(status) { fields.append(.init("deployed", time)) }
        fields += deployment(status)
      }
      if let tier = try? await session.backend.call(ReadStatistics(), on: name).isolation {
        fields.append(.init("isolation", tier))
      }
      fields.append(.init("manifest", String(catalogue.digest.prefix(16)) + "…", .string(catalogue.digest)))
    } else if case .down(let error) = session.backend.state(of: name) {
      fields.append(.init("state", "down: \(error.beside(server).message)", role: .bad))
    }
    let services = snapshot.serviceNames.filter { snapshot.providers(of: $0).contains(name) }
    fields.append(.init("services", services.joined(separator: ", "), .list(services.map { .string($0) })))
    let procedures = snapshot.listedProcedures(on: [name])
    fields.append(
      .init(
        "procedures", procedures.map { "\($0.signature)" }.joined(separator: "\n"),
        .list(procedures.map { .string("\($0.signature)") }), role: .type))
    output.emit(.fields(Fields(name, fields, titleRole: .name)))
  }

  /// `generation 3, deployed 2026-05-01 12:00:03`, nil when the server does not say.
  private static func lastDeployment(of server: String, _ session: ShellSession) async -> String? {
    (try? await session.backend.call(DeployStatus(), on: server)).map(lastDeployment)
  }

  private static func lastDeployment(_ status: DeploymentStatus) -> String {
    let generation = "generation \(status.generation)"
    return deploymentTime(status).map { "\(generation), deployed \($0)" } ?? generation
  }

  private static func deploymentTime(_ status: DeploymentStatus) -> String? {
    guard let milliseconds = status.lastDeploymentMilliseconds, milliseconds > 0 else { return nil }
    return Timestamp.local(milliseconds: Int64(milliseconds))
  }

  /// What was signed of what the server has in force.
  private static func deployment(_ status: DeploymentStatus) -> [Fields.Field] {
    if status.isUnsigned {
      return [.init("signed", "unsigned: the next deployment signs it", .bool(false), role: .warning)]
    }
    guard let deployment = status.deployment else { return [] }
    var fields: [Fields.Field] = [
      .init(
        "deployment", "\(deployment.id), serial \(deployment.serial), network \(deployment.network)",
        deployment.encoded),
      .init(
        "signed", deployment.fingerprint + (deployment.isTrusted ? "" : ", which may not deploy any more"),
        .string(deployment.deployer), role: deployment.isTrusted ? .plain : .warning),
      .init("by", deployment.who),
    ]
    if let message = deployment.message { fields.append(.init("message", message)) }
    return fields
  }
}
