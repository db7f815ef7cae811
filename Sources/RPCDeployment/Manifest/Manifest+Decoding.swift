import RPCNetwork
import RPCProcedures
import RPCProto
import RPCWire

extension Manifest {
  /// Decodes a manifest that came from elsewhere. It trusts nothing: every field is checked, every name is
  /// one that a file may declare, and the bytes are the canonical ones. Whether the servers and clients that it
  /// names are declared, `check(against:)` tells.
  package init(decoding bytes: [UInt8]) throws(DeploymentError) {
    var fields = try Fields(
      encoded: bytes, "manifest", version: Self.formatVersion, limit: DeploymentLimits.manifestBytesMax)
    try self.init(&fields)
    try fields.finish()
    guard encode() == bytes else { throw Self.notCanonical }
  }

  /// Decodes the manifest of a generation on disk, which version 1.0 may have written: then the topology stood in it.
  static func stored(
    _ bytes: [UInt8]
  ) throws(DeploymentError) -> (manifest: Manifest, topology: Topology?) {
    var fields = try Fields(encoded: bytes, "manifest", limit: DeploymentLimits.manifestBytesMax)
    guard try fields.integer("simplerpc_manifest") == 1 else {
      return (try Manifest(decoding: bytes), nil)
    }
    let topology = try Topology.members(&fields)
    let manifest = try Manifest(&fields)
    try fields.finish()
    let entries = [
      Value.Entry("simplerpc_manifest", .int(1)), Value.Entry("server", .string(manifest.server)),
    ]
    let whole = Value.map(entries + topology.memberEntries + manifest.contentEntries)
    guard whole.messagePack == bytes else { throw notCanonical }
    return (manifest, topology)
  }

  private static let notCanonical = DeploymentError(.malformed, "the manifest is not in its canonical form")

  private init(_ fields: inout Fields) throws(DeploymentError) {
    let server = try fields.string("server")
    let services = try fields.list("services", limit: DeploymentLimits.servicesMax, Self.service)
    let procedures = try fields.list("procedures", limit: DeploymentLimits.proceduresMax, Self.procedure)
    self.init(server: server, services: services, procedures: procedures)
    try validate()
  }

  private static func service(
    _ value: Value, _ place: String
  ) throws(DeploymentError) -> Topology.Service {
    var fields = try Fields(value, at: place)
    let service = Topology.Service(
      name: try fields.string("name"),
      providers: try fields.strings("providers", limit: DeploymentLimits.serversMax),
      tenants: try fields.strings("tenants", limit: DeploymentLimits.clientsMax))
    try fields.finish()
    return service
  }

  private static func procedure(_ value: Value, _ place: String) throws(DeploymentError) -> Procedure {
    var fields = try Fields(value, at: place)
    let signature = Signature(
      service: try fields.string("service"),
      name: try fields.string("name"),
      parameters: try fields.list("parameters", limit: WireLimits.arityMax, parameter),
      returns: try fields.list("returns", limit: WireLimits.arityMax, type))
    let digest = try fields.string("digest")
    let language = try fields.required("language", "a language") {
      $0.stringValue.flatMap { Language(rawValue: $0, digest: digest) }
    }
    var procedure = Procedure(
      signature: signature,
      language: language,
      function: try fields.string("function"),
      digest: digest,
      sourceName: try fields.string("source_name"),
      documentation: try fields.optional("doc", "a string", \.stringValue),
      timeoutMilliseconds: try fields.optional("timeout_ms", "an integer") { $0.intValue.map(Int.init) },
      memoryBytes: try fields.optional("memory_bytes", "an integer") { $0.intValue.map(Int.init) },
      idempotent: try fields.required("idempotent", "a bool", \.boolValue))
    procedure.grpc.method = try fields.optional("grpc", "a string", \.stringValue)
    procedure.grpc.overload =
      try fields.optional("overload", "a number of an overload") { value in
        value.intValue.flatMap { (1...Int64(DeploymentLimits.proceduresMax)).contains($0) ? Int($0) : nil }
      } ?? 0
    procedure.grpc.argumentFields = try numbers(&fields, "argument_fields", count: signature.parameters.count)
    procedure.grpc.returnFields = try numbers(&fields, "return_fields", count: signature.returns.count)
    let confinement = try fields.optional("confinement", "a list of what this program knows") { value in
      value.listValue.flatMap { list in
        let words = list.compactMap(\.stringValue)
        return words.count == list.count && !words.isEmpty ? Confinement(words: words) : nil
      }
    }
    procedure.confinement = confinement ?? .standard
    try fields.finish()
    return procedure
  }

  /// Field numbers, one for each value and 0 for its position; empty where none is pinned.
  private static func numbers(_ fields: inout Fields, _ key: String, count: Int) throws(DeploymentError)
    -> [Int]
  {
    try fields.optional(key, "a list of \(count) field numbers") { value -> [Int]? in
      guard let list = value.listValue, list.count == count, count > 0 else { return nil }
      let numbers = list.compactMap { $0.intValue.flatMap { Int(exactly: $0) } }
      guard numbers.count == count, numbers.contains(where: { $0 != 0 }),
        numbers.allSatisfy({ $0 == 0 || ProtoSignature.problem(withNumber: $0) == nil })
      else { return nil }
      return numbers
    } ?? []
  }

  private static func parameter(_ value: Value, _ place: String) throws(DeploymentError) -> Parameter {
    var fields = try Fields(value, at: place)
    let name = try fields.optional("name", "a string", \.stringValue)
    let text = try fields.required("type", "a string", { $0 })
    let parameter = Parameter(try type(text, "\(place).type"), name: name)
    try fields.finish()
    return parameter
  }

  private static func type(_ value: Value, _ place: String) throws(DeploymentError) -> ValueType {
    guard let text = value.stringValue else { throw DeploymentError(.malformed, "\(place) is not a string") }
    do throws(ValueType.SyntaxError) {
      return try ValueType(parsing: text)
    } catch {
      throw DeploymentError(.malformed, "\(place): \(error.message)")
    }
  }
}
