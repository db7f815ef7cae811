import RPCKeys
import RPCNetwork
import RPCProcedures
import RPCWire

/// The canonical encoding: one MessagePack map, keys in a fixed order, what is absent left out.
extension Manifest {
  /// The version of the encoding, its first entry.
  static let formatVersion: Int64 = 1

  package func encode() -> [UInt8] { value.messagePack }

  var value: Value {
    .map([
      Value.Entry("simplerpc_manifest", .int(Self.formatVersion)),
      Value.Entry("server", .string(server)),
      Value.Entry("servers", .list(servers.map(Self.value))),
      Value.Entry("clients", .list(clients.map(Self.value))),
      Value.Entry("services", .list(services.map(Self.value))),
      Value.Entry("procedures", .list(procedures.map(Self.value))),
    ])
  }

  private static func value(_ server: Topology.Server) -> Value {
    entries(
      ("name", .string(server.name)),
      ("host", .string(server.host)),
      ("port", .int(Int64(server.port))),
      ("key", server.key.map { .string($0.description) }),
      ("proven", server.proven.map { .string($0.description) }))
  }

  private static func value(_ client: Topology.Client) -> Value {
    entries(
      ("name", .string(client.name)),
      ("host", client.host.map(Value.string)),
      ("port", client.port.map { .int(Int64($0)) }),
      ("key", client.key.map { .string($0.description) }))
  }

  private static func value(_ service: Topology.Service) -> Value {
    [
      "name": .string(service.name),
      "providers": .list(service.providers.map(Value.string)),
      "tenants": .list(service.tenants.map(Value.string)),
    ]
  }

  private static func value(_ procedure: Procedure) -> Value {
    let signature = procedure.signature
    return entries(
      ("service", .string(signature.service)),
      ("name", .string(signature.name)),
      ("parameters", .list(signature.parameters.map(value))),
      ("returns", .list(signature.returns.map { .string($0.description) })),
      ("language", .string(procedure.language.rawValue)),
      ("function", .string(procedure.function)),
      ("digest", .string(procedure.digest)),
      ("source_name", .string(procedure.sourceName)),
      ("doc", procedure.documentation.map(Value.string)),
      ("timeout_ms", procedure.timeoutMilliseconds.map { .int(Int64($0)) }),
      ("memory_bytes", procedure.memoryBytes.map { .int(Int64($0)) }),
      ("idempotent", .bool(procedure.idempotent)),
      ("confinement", procedure.confinement.words.map { .list($0.map(Value.string)) }))
  }

  private static func value(_ parameter: Parameter) -> Value {
    entries(
      ("name", parameter.name.map(Value.string)),
      ("type", .string(parameter.type.description)))
  }

  private static func entries(_ pairs: (String, Value?)...) -> Value {
    .map(pairs.compactMap { key, value in value.map { Value.Entry(key, $0) } })
  }
}
