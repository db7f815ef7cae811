package import RPCProcedures
package import RPCWire

/// What a server says that it serves: the answer of `system.catalogue`.
package struct ServerCatalogue: SystemMap {
  package struct Service: Hashable, Sendable {
    @ComparedByUTF8 package var name: String
    /// Who may call it, nil for everybody.
    @ComparedByUTF8 package var tenants: [String]?
    @ComparedByUTF8 package var providers: [String]
    package var procedures: [Procedure]

    package init(name: String, tenants: [String]?, providers: [String], procedures: [Procedure]) {
      self.name = name
      self.tenants = tenants
      self.providers = providers
      self.procedures = procedures
    }
  }

  /// A procedure that is not called any more, since its calls kept ending their worker.
  package struct Quarantined: Hashable, Sendable {
    @ComparedByUTF8 package var service: String
    @ComparedByUTF8 package var procedure: String
    @ComparedByUTF8 package var types: [String]
    package var sinceMilliseconds: Int
    @ComparedByUTF8 package var reason: String

    package init(
      service: String, procedure: String, types: [String], sinceMilliseconds: Int, reason: String
    ) {
      self.service = service
      self.procedure = procedure
      self.types = types
      self.sinceMilliseconds = sinceMilliseconds
      self.reason = reason
    }
  }

  /// The name that the last deployment gave the server.
  @ComparedByUTF8 package var server: String?
  /// The program that runs there and its release.
  @ComparedByUTF8 package var version: String
  package var generation: Int
  /// Of the manifest in force, empty before the first deployment.
  @ComparedByUTF8 package var digest: String
  /// Of the topology in force, nil before the first deployment.
  @ComparedByUTF8 package var topologyDigest: String?
  /// When the server started, in milliseconds since 1970.
  package var startedMilliseconds: Int
  package var services: [Service]
  package var quarantined: [Quarantined] = []

  package static let empty = ServerCatalogue()
  package static let fields: [SystemField<ServerCatalogue>] = [
    .init("server", \.server), .init("version", \.version), .init("generation", \.generation),
    .init("digest", \.digest), .init("topology_digest", \.topologyDigest),
    .init("started_ms", \.startedMilliseconds), .init("services", \.services),
    .init(unlessEmpty: "quarantined", \.quarantined),
  ]

  package init(
    server: String? = nil, version: String = "", generation: Int = 0, digest: String = "",
    topologyDigest: String? = nil,
    startedMilliseconds: Int = 0, services: [Service] = []
  ) {
    self.server = server
    self.version = version
    self.generation = generation
    self.digest = digest
    self.topologyDigest = topologyDigest
    self.startedMilliseconds = startedMilliseconds
    self.services = services
  }

  package var procedures: [Procedure] { services.flatMap(\.procedures) }

  package func service(_ name: String) -> Service? { services.first { $0.name.hasSameUTF8(as: name) } }
}

extension ServerCatalogue.Quarantined: SystemMap {
  package static let empty = ServerCatalogue.Quarantined(
    service: "", procedure: "", types: [], sinceMilliseconds: 0, reason: "")
  package static let fields: [SystemField<ServerCatalogue.Quarantined>] = [
    .init("service", \.service), .init("rpc", \.procedure), .init("types", \.types),
    .init("since_ms", \.sinceMilliseconds), .init("reason", \.reason),
  ]

  /// Whether it is this procedure.
  package func isOf(_ signature: Signature) -> Bool {
    service.hasSameUTF8(as: signature.service) && procedure.hasSameUTF8(as: signature.name)
      && types == signature.parameterTypes.map(\.description)
  }
}

extension ServerCatalogue.Service: SystemMap {
  package static let empty = ServerCatalogue.Service(name: "", tenants: nil, providers: [], procedures: [])
  package static let fields: [SystemField<ServerCatalogue.Service>] = [
    .init("name", \.name), .init("tenants", \.tenants), .init("providers", \.providers),
    .init("procedures", \.procedures),
  ]

  package init(decoding value: Value) throws(SystemDecodingError) {
    self = try Self.decodeFields(value)
    for index in procedures.indices { procedures[index].signature.service = name }
  }
}

/// A procedure of a catalogue, which tells its service around it.
extension Procedure: SystemMap {
  package static let empty = Procedure(
    signature: Signature(service: "", name: "", parameters: [], returns: []), language: .closure)
  package static let fields: [SystemField<Procedure>] = [
    .init("name", \.signature.name), .init("parameters", \.signature.parameters),
    .init("returns", \.signature.returns), .init("language", \.language), .init("function", \.function),
    .init("digest", \.digest), .init("source_name", \.sourceName), .init("idempotent", \.idempotent),
    .init("doc", \.documentation), .init("timeout_ms", \.timeoutMilliseconds),
    .init("memory_bytes", \.memoryBytes), .init("grpc", \.grpc.method), .init("overload", \.laterOverload),
    .init(unlessEmpty: "argument_fields", \.grpc.argumentFields),
    .init(unlessEmpty: "return_fields", \.grpc.returnFields), .init("confinement", \.confinementWords),
  ]

  /// Which overload of its name it is, nil for the first.
  private var laterOverload: Int? {
    get { grpc.overload == 0 ? nil : grpc.overload }
    set { grpc.overload = newValue ?? 0 }
  }

  package init(decoding value: Value) throws(SystemDecodingError) {
    self = try Self.decodeFields(value)
    // A closure has no digest: Swift that was deployed has.
    if let told = Language(rawValue: language.rawValue, digest: digest) { language = told }
  }
}

extension Procedure {
  fileprivate var confinementWords: [String]? {
    get { confinement.words }
    set { confinement = newValue.flatMap { Confinement(words: $0) } ?? .standard }
  }
}

extension Parameter: SystemMap {
  package static let empty = Parameter(.any)
  package static let fields: [SystemField<Parameter>] = [.init("name", \.name), .init("type", \.type)]
}
