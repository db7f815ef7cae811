import RPCNetwork
import RPCProcedures
import RPCWire

/// The canonical encoding: one MessagePack map, keys in a fixed order, what is absent left out.
extension Manifest {
  /// The version of the encoding, its first entry.
  static let formatVersion: Int64 = 2

  package func encode() -> [UInt8] { value.messagePack }

  var value: Value {
    .map(
      [
        Value.Entry("simplerpc_manifest", .int(Self.formatVersion)),
        Value.Entry("server", .string(server)),
      ] + contentEntries)
  }

  var contentEntries: [Value.Entry] {
    [
      Value.Entry("services", .list(services.map(Self.value))),
      Value.Entry("procedures", .list(procedures.map(Self.value))),
    ]
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
      ("grpc", procedure.grpc.method.map(Value.string)),
      ("overload", procedure.grpc.overload == 0 ? nil : .int(Int64(procedure.grpc.overload))),
      ("argument_fields", numbers(procedure.grpc.argumentFields)),
      ("return_fields", numbers(procedure.grpc.returnFields)),
      ("confinement", procedure.confinement.words.map { .list($0.map(Value.string)) }))
  }

  private static func numbers(_ fields: [Int]) -> Value? {
    fields.isEmpty ? nil : .list(fields.map { .int(Int64($0)) })
  }

  private static func value(_ parameter: Parameter) -> Value {
    entries(
      ("name", parameter.name.map(Value.string)),
      ("type", .string(parameter.type.description)))
  }

  static func entries(_ pairs: (String, Value?)...) -> Value {
    .map(pairs.compactMap { key, value in value.map { Value.Entry(key, $0) } })
  }
}
