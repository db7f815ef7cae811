import RPCKeys
import RPCNetwork
import RPCProcedures
import RPCWire

extension Manifest {
  /// Decodes a manifest that came from elsewhere. It trusts nothing: every field is checked, every name is
  /// one that a file may declare, every reference leads somewhere, and the bytes are the canonical ones.
  package init(decoding bytes: [UInt8]) throws(DeploymentError) {
    guard bytes.count <= DeploymentLimits.manifestBytesMax else {
      throw DeploymentError(
        .tooLarge, "a manifest of \(bytes.count) bytes, the limit is \(DeploymentLimits.manifestBytesMax)")
    }
    let value: Value
    do throws(WireError) {
      value = try Value(messagePack: bytes)
    } catch {
      throw DeploymentError(.malformed, "the manifest is not readable: \(error)")
    }
    var fields = try Fields(value, at: "manifest")
    let version = try fields.integer("simplerpc_manifest")
    guard version == Self.formatVersion else {
      throw DeploymentError(
        .malformed,
        "the manifest has format \(version), this program reads \(Self.formatVersion): use programs of one release"
      )
    }
    let server = try fields.string("server")
    let servers = try fields.list("servers", limit: DeploymentLimits.serversMax, Self.server)
    let clients = try fields.list("clients", limit: DeploymentLimits.clientsMax, Self.client)
    let services = try fields.list("services", limit: DeploymentLimits.servicesMax, Self.service)
    let procedures = try fields.list("procedures", limit: DeploymentLimits.proceduresMax, Self.procedure)
    try fields.finish()
    self.init(server: server, servers: servers, clients: clients, services: services, procedures: procedures)
    try validate()
    guard encode() == bytes else {
      throw DeploymentError(.malformed, "the manifest is not in its canonical form")
    }
  }

  private static func server(
    _ value: Value, _ place: String
  ) throws(DeploymentError) -> Topology.Server {
    var fields = try Fields(value, at: place)
    let name = try fields.string("name")
    let host = try fields.string("host")
    guard let port = try fields.port("port") else {
      throw DeploymentError(.malformed, "\(place).port is missing")
    }
    var server = Topology.Server(
      name: name, host: host, port: port, key: try key(&fields, of: "server '\(name.prefix(64))'"))
    server.proven = try key(&fields, "proven", of: "server '\(name.prefix(64))'")
    try fields.finish()
    return server
  }

  private static func client(_ value: Value, _ place: String) throws(DeploymentError) -> Topology.Client {
    var fields = try Fields(value, at: place)
    let name = try fields.string("name")
    let client = Topology.Client(
      name: name,
      host: try fields.optional("host", "a string", \.stringValue),
      port: try fields.port("port"),
      key: try key(&fields, of: "client '\(name.prefix(64))'"))
    try fields.finish()
    return client
  }

  private static func key(
    _ fields: inout Fields, _ name: String = "key", of owner: String
  ) throws(DeploymentError) -> PublicKey? {
    guard let text = try fields.optional(name, "a string", \.stringValue) else { return nil }
    do throws(KeyError) {
      return try PublicKey(parsing: text)
    } catch {
      throw DeploymentError(.malformed, "\(owner) has no valid key: \(error)")
    }
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
