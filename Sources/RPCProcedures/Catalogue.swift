package import RPCNetwork
package import RPCWire

/// A procedure that can be called now: bound to the id by which calls name it.
package final class BoundProcedure: Sendable {
  /// How it is run.
  package enum Implementation: Sendable {
    case immediate(NativeBody)
    case suspending(AsyncBody)
    case source(SourceUnit)
    /// One of the server's own, by the position in its table.
    case system(Int)
  }

  /// Bytes of a request or an answer above which it is decoded, checked and encoded beside the loop, where that takes
  /// time for each part of it.
  package static let spotBytes = 64 * 1024

  package let id: UInt32
  package let procedure: Procedure
  package let implementation: Implementation
  /// The most bytes of arguments with which it runs where its call is read: fewer than none unless it is a closure that
  /// runs on the loop.
  package let spotBytesMax: Int
  /// Whether its arguments have parts, each of which takes time to decode or check.
  private let takesParts: Bool
  /// That closure: kept by itself, so that a call of it copies nothing out of `implementation`.
  package let body: NativeBody
  /// The position of its service in `Catalogue.services`.
  package let service: Int
  /// `service.name(types)`, as the log writes it: escaped.
  package let label: [UInt8]

  package init(id: UInt32, procedure: Procedure, implementation: Implementation, service: Int) {
    self.id = id
    self.procedure = procedure
    self.implementation = implementation
    let isSystem = if case .system = implementation { true } else { false }
    takesParts = !isSystem && procedure.signature.parameterTypes.contains(where: \.hasParts)
    if case .immediate(let body) = implementation {
      spotBytesMax = takesParts ? Self.spotBytes : .max
      self.body = body
    } else {
      spotBytesMax = -1
      body = { (_, _) throws(RPCError) in
        throw RPCError(.failedPrecondition, "only a closure runs on the spot", executed: .no)
      }
    }
    self.service = service
    let types = procedure.signature.parameterTypes.map(\.description).joined(separator: ", ")
    var label = ByteQueue()
    label.append(escaped: "\(procedure.signature.qualifiedName)(\(types))")
    self.label = label.copy()
  }

  package var signature: Signature { procedure.signature }

  /// Whether decoding or checking so many bytes of arguments would keep others of the loop waiting.
  package func isSlow(bytes: Int) -> Bool { takesParts && bytes > Self.spotBytes }
}

/// One service of a generation.
package struct CatalogueService: Sendable {
  package var name: String
  /// Who may call it, as `Tenant` has it, or nil for everybody.
  package var tenants: Set<UTF8Key>?
  /// Names of the servers that serve it.
  package var providers: [String]
  /// Whether this server serves it: the others are known so that callers can be sent there.
  package var isServedHere: Bool

  package init(name: String, tenants: [String]?, providers: [String], isServedHere: Bool) {
    self.name = name
    self.tenants = tenants.map { Set($0.map { UTF8Key($0) }) }
    self.providers = providers
    self.isServedHere = isServedHere
  }
}

/// Everything a server serves in one generation: an immutable snapshot that each loop swaps between two turns.
package final class Catalogue: Sendable {
  /// The generation's number, 0 before the first deployment.
  package let serial: Int
  /// The manifest's digest, empty before the first deployment.
  package let digest: String
  /// The topology's, which says who the clients are; nil before the first deployment.
  package let topologyDigest: String?
  /// Another one for each catalogue of a server, also where only the clients differ.
  package let edition: Int
  package let services: [CatalogueService]
  package let clients: [ClientRule]
  /// The servers whose procedures' calls are known.
  package let servers: [ServerRule]
  /// By id; nil where the id belongs to a procedure of an older generation.
  package let procedures: ContiguousArray<BoundProcedure?>
  private let index: [UTF8Key: (service: Int, overloads: [UTF8Key: [BoundProcedure]])]

  package init(
    serial: Int, digest: String, topologyDigest: String? = nil, edition: Int? = nil,
    services: [CatalogueService], clients: [ClientRule], servers: [ServerRule] = [],
    procedures: [BoundProcedure]
  ) {
    self.serial = serial
    self.digest = digest
    self.topologyDigest = topologyDigest
    self.edition = edition ?? serial
    self.services = services
    self.clients = clients
    self.servers = servers
    var table = ContiguousArray<BoundProcedure?>()
    var index: [UTF8Key: (service: Int, overloads: [UTF8Key: [BoundProcedure]])] = [:]
    for (position, service) in services.enumerated() { index[UTF8Key(service.name)] = (position, [:]) }
    for procedure in procedures {
      while table.count <= Int(procedure.id) { table.append(nil) }
      table[Int(procedure.id)] = procedure
      let signature = procedure.signature
      index[UTF8Key(signature.service)]?.overloads[UTF8Key(signature.name), default: []].append(procedure)
    }
    self.procedures = table
    self.index = index
  }

  package var allProcedures: [BoundProcedure] { procedures.compactMap { $0 } }

  // MARK: Finding a procedure

  /// The overload that takes `arguments` best and returns `returns`, where those are given.
  ///
  /// - Throws: `ServiceNotFound`, `RPCNotFound` or `InvalidArguments`, each saying what would be right.
  package func find(
    service: String, procedure: String, arguments: [ValueType], returns: [ValueType]?
  ) throws(RPCError) -> BoundProcedure {
    let overloads = try overloads(service: service, procedure: procedure)
    var best: (procedure: BoundProcedure, cost: Int)?
    for overload in overloads {
      guard let cost = overload.signature.conversionCost(from: arguments) else { continue }
      guard overload.signature.returnsFit(returns) else { continue }
      if best.map({ cost < $0.cost }) ?? true { best = (overload, cost) }
    }
    if let best { return best.procedure }
    throw noOverload(
      service: service, procedure: procedure, arguments: arguments, returns: returns, overloads)
  }

  /// The error for a call whose types fit no overload: what is wrong with them, then what would be right.
  package func noOverload(
    service: String, procedure: String, arguments: [ValueType], returns: [ValueType]?,
    _ overloads: [BoundProcedure]
  ) -> RPCError {
    let mismatch = OverloadMismatch(
      arguments: arguments, returns: returns, overloads: overloads.map(\.signature))
    return invalidArguments(mismatch.description, overloads)
  }

  /// Every overload of a procedure that this server serves.
  package func overloads(service: String, procedure: String) throws(RPCError) -> [BoundProcedure] {
    guard let entry = index[UTF8Key(service)] else {
      var message = "this server does not provide the service '\(service)'"
      if let near = Spelling.nearest(to: service, in: services.filter(\.isServedHere).map(\.name)) {
        message += "; did you mean '\(near)'?"
      }
      throw RPCError(.serviceNotFound, message)
    }
    guard services[entry.service].isServedHere else {
      let providers = services[entry.service].providers
      let others =
        providers.isEmpty
        ? "no server does" : "\(providers.joined(separator: ", ")) \(providers.count == 1 ? "does" : "do")"
      throw RPCError(
        .serviceNotFound, "this server does not provide the service '\(service)'; \(others)")
    }
    guard let overloads = entry.overloads[UTF8Key(procedure)], !overloads.isEmpty else {
      var message = "the service '\(service)' has no procedure '\(procedure)'"
      let names = entry.overloads.keys.sorted().map(\.text)
      let near = Spelling.nearestFew(to: procedure, in: names)
      if !near.isEmpty {
        message += "; did you mean \(near.map { "'\($0)'" }.joined(separator: " or "))?"
      } else if !names.isEmpty {
        message += "; it has \(English.list(names, max: 8))"
      }
      throw RPCError(.rpcNotFound, message)
    }
    return overloads
  }

  /// `InvalidArguments`, with every signature that would be right.
  package func invalidArguments(_ message: String, _ overloads: [BoundProcedure]) -> RPCError {
    let signatures = overloads.map { "  \($0.signature)" }.joined(separator: "\n")
    return RPCError(.invalidArguments, "\(message); valid:\n\(signatures)")
  }
}
