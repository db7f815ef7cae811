import RPCNetwork
public import RPCProcedures
public import RPCWire

/// What a server serves, as `system.catalogue` tells it: the actual side of a plan.
public struct DeployedCatalogue: Hashable, Sendable {
  public struct Service: Hashable, Sendable {
    @ComparedByUTF8 public var name: String
    @ComparedByUTF8 public var tenants: [String]
    @ComparedByUTF8 public var providers: [String]

    public init(name: String, tenants: [String], providers: [String]) {
      self.name = name
      self.tenants = tenants
      self.providers = providers
    }
  }

  /// The name that the last deployment gave the server.
  public var server: String?
  public var generation: Int
  public var digest: String
  /// The services that were deployed to it, in their own order.
  public var services: [Service]
  /// The procedures that were deployed to it; closures of the program are not among them.
  public var procedures: [Procedure]

  public init(
    server: String? = nil, generation: Int = 0, digest: String = "", services: [Service] = [],
    procedures: [Procedure] = []
  ) {
    self.server = server
    self.generation = generation
    self.digest = digest
    self.services = services
    self.procedures = procedures
  }

  /// What a server with this manifest serves.
  public init(_ manifest: Manifest, generation: Int) {
    self.init(
      server: manifest.server, generation: generation, digest: manifest.digest,
      services: manifest.services.filter { $0.providers.contains { $0.hasSameUTF8(as: manifest.server) } }.map
      {
        Service(name: $0.name, tenants: $0.tenants, providers: $0.providers)
      },
      procedures: manifest.procedures)
  }
}

extension DeployedCatalogue {
  /// Reads an answer. Keys that a newer server adds are passed over.
  public init(_ value: Value) throws(DeploymentError) {
    guard let generation = value["generation"]?.intValue, let digest = value["digest"]?.stringValue,
      let list = value["services"]?.listValue
    else { throw Self.malformed("it lacks 'generation', 'digest' or 'services'") }
    self.init(server: value["server"]?.stringValue, generation: Int(generation), digest: digest)
    for entry in list {
      guard let name = entry["name"]?.stringValue else { throw Self.malformed("a service has no name") }
      if name == Names.reservedService { continue }
      func names(_ key: String) -> [String] { (entry[key]?.listValue ?? []).compactMap(\.stringValue) }
      var deployed: [Procedure] = []
      let procedures = entry["procedures"]?.listValue ?? []
      for value in procedures {
        let procedure = try Self.procedure(value, of: name)
        if procedure.language != .closure { deployed.append(procedure) }
      }
      // A service whose procedures are all closures belongs to the program, not to a deployment.
      if deployed.isEmpty, !procedures.isEmpty { continue }
      services.append(Service(name: name, tenants: names("tenants"), providers: names("providers")))
      self.procedures += deployed
    }
  }

  private static func procedure(_ value: Value, of service: String) throws(DeploymentError) -> Procedure {
    let digest = value["digest"]?.stringValue ?? ""
    guard let name = value["name"]?.stringValue,
      let language = value["language"]?.stringValue.flatMap({ Language(rawValue: $0, digest: digest) })
    else { throw malformed("a procedure of '\(service)' has no name or language") }
    var signature = Signature(service: service, name: name, parameters: [], returns: [])
    for parameter in value["parameters"]?.listValue ?? [] {
      signature.parameters.append(
        Parameter(try type(parameter["type"], of: name), name: parameter["name"]?.stringValue))
    }
    for value in value["returns"]?.listValue ?? [] { signature.returns.append(try type(value, of: name)) }
    return Procedure(
      signature: signature, language: language, function: value["function"]?.stringValue,
      digest: digest, sourceName: value["source_name"]?.stringValue ?? "",
      documentation: value["doc"]?.stringValue,
      timeoutMilliseconds: value["timeout_ms"]?.intValue.map { Int($0) },
      memoryBytes: value["memory_bytes"]?.intValue.map { Int($0) },
      idempotent: value["idempotent"]?.boolValue ?? false)
  }

  private static func type(_ value: Value?, of name: String) throws(DeploymentError) -> ValueType {
    do {
      return try ValueType(parsing: value?.stringValue ?? "")
    } catch {
      throw malformed("'\(name)': \(error.message)")
    }
  }

  private static func malformed(_ why: String) -> DeploymentError {
    DeploymentError(.malformed, "the server's catalogue is not understood: \(why)")
  }
}
