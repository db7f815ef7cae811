internal import Glibc
internal import RPCDeployment
internal import RPCProcedures
internal import RPCProto
internal import RPCWire

/// A method that can be called: a procedure, and how its values stand in messages.
internal final class GRPCMethod {
  let procedure: BoundProcedure
  let request: ProtoMessage
  let response: ProtoMessage

  init(_ procedure: BoundProcedure, _ method: ProtoMethod) {
    self.procedure = procedure
    request = method.request
    response = method.response
  }
}

/// What a path leads to.
internal enum GRPCTarget {
  case procedure(GRPCMethod)
  case builtin(GRPCBuiltin)
  case unknown
}

/// Methods that every server has beside its procedures.
internal enum GRPCBuiltin: String, CaseIterable {
  case healthCheck = "/grpc.health.v1.Health/Check"
  case healthList = "/grpc.health.v1.Health/List"
  case healthWatch = "/grpc.health.v1.Health/Watch"
  case reflection = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
  case reflectionAlpha = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"

  /// Whether the peer may send more than one request on it, and gets more than one answer.
  var isStream: Bool {
    switch self {
    case .healthCheck, .healthList: false
    case .healthWatch, .reflection, .reflectionAlpha: true
    }
  }
}

/// The methods of one generation, for one loop. Each service's are made when it is first asked for.
internal final class GRPCMethods {
  let catalogue: Catalogue
  private struct Service {
    let name: String
    let procedures: [BoundProcedure]
    var made: ProtoService?
    var methods: [String: GRPCMethod] = [:]
  }

  /// By its name in gRPC.
  private var services: [String: Service] = [:]
  /// The paths that were called last: most connections call few.
  private var recent: [(path: [UInt8], target: GRPCTarget)] = []
  private var nextRecent = 0
  private static let recentMax = 8

  init(_ catalogue: Catalogue) {
    self.catalogue = catalogue
    var members = [[BoundProcedure]](repeating: [], count: catalogue.services.count)
    for procedure in catalogue.allProcedures {
      let signature = procedure.signature
      if signature.service == SystemContract.service, !SystemContract.namesOverHTTP.contains(signature.name) {
        continue
      }
      members[procedure.service].append(procedure)
    }
    for (index, service) in catalogue.services.enumerated() where service.isServedHere {
      let name = ProtoNames.identifier(service.name)
      // Two closures' services may have one name in gRPC, which a file's cannot: the first one is it.
      if services[name] == nil { services[name] = Service(name: service.name, procedures: members[index]) }
    }
  }

  /// The names of all services, in order.
  var serviceNames: [String] { services.keys.sorted() }

  func hasService(_ name: String) -> Bool { services[name] != nil }

  /// A service as gRPC offers it, nil where there is none of the name.
  func service(_ name: String) -> ProtoService? {
    guard let service = services[name] else { return nil }
    if let made = service.made { return made }
    let made = ProtoService(service: service.name, procedures: service.procedures.map(\.procedure))
    services[name]?.made = made
    for method in made.methods {
      services[name]?.methods[method.name] = GRPCMethod(service.procedures[method.procedure], method)
    }
    return made
  }

  func find(_ path: UnsafeBufferPointer<UInt8>) -> GRPCTarget {
    for entry in recent where entry.path.count == path.count {
      let isSame = entry.path.withUnsafeBufferPointer { known in
        guard let left = known.baseAddress, let right = path.baseAddress else { return true }
        return memcmp(left, right, known.count) == 0
      }
      if isSame { return entry.target }
    }
    let target = lookUp(String(decoding: path, as: UTF8.self))
    if case .unknown = target { return target }
    if recent.count < Self.recentMax {
      recent.append((Array(path), target))
    } else {
      recent[nextRecent] = (Array(path), target)
      nextRecent = (nextRecent + 1) % Self.recentMax
    }
    return target
  }

  private func lookUp(_ path: String) -> GRPCTarget {
    if let builtin = GRPCBuiltin(rawValue: path) { return .builtin(builtin) }
    guard let (service, method) = Self.split(path), self.service(service) != nil,
      let found = services[service]?.methods[method]
    else { return .unknown }
    return .procedure(found)
  }

  /// `/service/method`
  private static func split(_ path: String) -> (service: String, method: String)? {
    let parts = path.split(separator: "/", omittingEmptySubsequences: false)
    guard parts.count == 3, parts[0].isEmpty else { return nil }
    return (String(parts[1]), String(parts[2]))
  }

  /// Why a path leads nowhere, in words that say what would.
  func unknown(_ path: String) -> RPCError {
    guard let (service, method) = Self.split(path) else {
      return RPCError(.rpcNotFound, "the path '\(path.prefix(256))' is not '/SERVICE/PROCEDURE'")
    }
    let declared = services[service]?.name ?? service
    do throws(RPCError) {
      _ = try catalogue.overloads(service: declared, procedure: method)
    } catch {
      return error
    }
    return RPCError(.rpcNotFound, "'\(service).\(method)' is not offered in gRPC")
  }
}
