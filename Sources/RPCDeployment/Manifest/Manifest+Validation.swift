import RPCNetwork
import RPCProcedures
import RPCProto
import RPCWire

extension Manifest {
  /// Everything that a manifest made from a checked file has by construction and one from elsewhere may lack.
  func validate() throws(DeploymentError) {
    if let problem = Names.problem(with: server) { throw DeploymentError(.malformed, "server: \(problem)") }
    let serviceNames = try Self.unique("service", services.map(\.name))
    guard !serviceNames.contains(UTF8Key(Names.reservedService)) else {
      throw DeploymentError(.malformed, "the service name '\(Names.reservedService)' is reserved")
    }
    for service in services {
      try Self.distinct(service.providers, "provider", of: service.name)
      try Self.distinct(service.tenants, "tenant", of: service.name)
    }
    let provided = Set(providedServices.map { UTF8Key($0) })
    var seen = Set<UTF8Key>()
    for procedure in procedures {
      try Self.check(procedure, provided: provided)
      guard seen.insert(UTF8Key(Self.identity(of: procedure.signature))).inserted else {
        throw DeploymentError(
          .malformed, "\(procedure.signature) is declared twice with these argument types")
      }
    }
  }

  static func unique(_ what: String, _ names: [String]) throws(DeploymentError) -> Set<UTF8Key> {
    var seen = Set<UTF8Key>()
    for name in names {
      if let problem = Names.problem(with: name) { throw DeploymentError(.malformed, "\(what): \(problem)") }
      guard seen.insert(UTF8Key(name)).inserted else {
        throw DeploymentError(.malformed, "\(what) '\(name)' appears twice")
      }
    }
    return seen
  }

  private static func distinct(
    _ names: [String], _ what: String, of service: String
  ) throws(DeploymentError) {
    guard Set(names.map { UTF8Key($0) }).count == names.count else {
      throw DeploymentError(.malformed, "service '\(service)' names a \(what) twice")
    }
  }

  /// Every server and client that the manifest names is one of the topology's.
  func check(against topology: Topology) throws(DeploymentError) {
    let servers = Set(topology.servers.map { UTF8Key($0.name) })
    let tenants = Set(topology.clients.map { UTF8Key($0.name) }).union(servers).union(
      services.map { UTF8Key(Tenant.service($0.name).text) })
    guard servers.contains(UTF8Key(server)) else {
      throw DeploymentError(.malformed, "the manifest is for '\(server)', which is not among the servers")
    }
    for service in services {
      try Self.references(service.providers, to: servers, "provider", of: service.name)
      try Self.references(service.tenants, to: tenants, "tenant", of: service.name)
    }
  }

  private static func references(
    _ names: [String], to declared: Set<UTF8Key>, _ what: String, of service: String
  ) throws(DeploymentError) {
    if let name = names.first(where: { !declared.contains(UTF8Key($0)) }) {
      throw DeploymentError(
        .malformed, "service '\(service)' names \(what) '\(name.prefix(64))', which is not declared")
    }
  }

  private static func check(_ procedure: Procedure, provided: Set<UTF8Key>) throws(DeploymentError) {
    let signature = procedure.signature
    if let problem = Names.problem(with: signature.name) {
      throw DeploymentError(.malformed, "a procedure of '\(signature.service)': \(problem)")
    }
    func refuse(_ problem: String) -> DeploymentError {
      DeploymentError(.malformed, "\(signature): \(problem)")
    }
    guard provided.contains(UTF8Key(signature.service)) else {
      throw refuse("the server does not provide '\(signature.service)'")
    }
    guard procedure.language != .closure else { throw refuse("a Swift closure cannot be deployed") }
    guard ContentDigest.isValid(procedure.digest) else { throw refuse("its source has no valid digest") }
    guard Names.isIdentifier(procedure.function) else { throw refuse("its function has no valid name") }
    if let problem = SourceName.problem(with: procedure.sourceName) {
      throw refuse("its source has no valid file name: \(problem)")
    }
    if let count = procedure.documentation?.utf8.count, count > DeploymentLimits.documentationBytesMax {
      throw refuse("a doc of \(count) bytes, the limit is \(DeploymentLimits.documentationBytesMax)")
    }
    if let timeout = procedure.timeoutMilliseconds {
      guard (1...DeploymentLimits.timeoutMillisecondsMax).contains(timeout) else {
        throw refuse("a timeout of \(timeout) ms is out of range")
      }
    }
    if let memory = procedure.memoryBytes {
      guard (DeploymentLimits.memoryBytesMin...DeploymentLimits.memoryBytesMax).contains(memory) else {
        throw refuse("a memory limit of \(memory) bytes is out of range")
      }
    }
    if let name = procedure.grpc.method, let problem = ProtoNames.problem(with: name) {
      throw refuse("its name in gRPC is invalid: \(problem)")
    }
    let names = signature.parameters.compactMap(\.name)
    guard names.allSatisfy(Names.isIdentifier), Set(names).count == names.count else {
      throw refuse("its arguments need distinct, valid names")
    }
    let types = signature.parameterTypes + signature.returns
    guard !types.contains(where: \.mentionsUnknown) else { throw refuse("'?' cannot be declared") }
  }
}

extension ValueType {
  /// Whether `?`, which only a caller may send, is anywhere in it.
  var mentionsUnknown: Bool {
    switch self {
    case .unknown: true
    case .list(let inner), .dict(let inner), .optional(let inner): inner.mentionsUnknown
    default: false
    }
  }
}
