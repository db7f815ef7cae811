package import RPCProcedures
internal import RPCWire

/// A method of a service in gRPC: a procedure under one of its names.
package struct ProtoMethod: Sendable {
  package let name: String
  /// Which of the procedures that the service was made of.
  package let procedure: Int
  package let request: ProtoMessage
  package let response: ProtoMessage
  package let isIdempotent: Bool
  package let documentation: String?
}

/// Why something cannot be offered in gRPC as it is declared.
package struct ProtoProblem: Hashable, Sendable {
  /// Which procedure.
  package var procedure: Int
  /// Which one was there before, where that is what is wrong.
  package var other: Int?
  package var message: String
}

/// A service as gRPC offers it: made from the signatures of its procedures, without a .proto file.
package struct ProtoService: Sendable {
  /// The name in gRPC.
  package let name: String
  /// By name.
  package let methods: [ProtoMethod]
  /// What is not among them, and why.
  package let problems: [ProtoProblem]

  /// - Parameter procedures: of one service, overloads in the order in which they were declared.
  package init(service: String, procedures: [Procedure]) {
    name = ProtoNames.identifier(service)
    var builder = Builder()
    for index in Self.order(procedures) { builder.add(index, procedures[index], of: procedures) }
    methods = builder.methods.values.sorted { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) }
    problems = builder.problems
  }

  /// Overloads keep the order in which a file has them, wherever they come from.
  private static func order(_ procedures: [Procedure]) -> [Int] {
    procedures.indices.sorted { left, right in
      (procedures[left].grpc.overload, left) < (procedures[right].grpc.overload, right)
    }
  }

  private struct Builder {
    var methods: [String: ProtoMethod] = [:]
    var problems: [ProtoProblem] = []
    /// Which procedure a message name was first made for.
    private var messageOwners: [String: Int] = [:]
    private var plainNames: Set<String> = []

    mutating func add(_ index: Int, _ procedure: Procedure, of all: [Procedure]) {
      let signature = procedure.signature
      let overloads = all.count { $0.signature.name.hasSameUTF8(as: signature.name) }
      let plain = ProtoNames.identifier(signature.name)
      let full = ProtoNames.overload(signature.name, signature.parameterTypes)
      var names: [String] = []
      if let chosen = procedure.grpc.method {
        names = [chosen]
      } else if overloads == 1 {
        names = [plain]
      } else {
        // The first one that is declared has the plain name too.
        if plainNames.insert(signature.name).inserted { names = [plain] }
        names.append(full)
      }
      let base = ProtoNames.messageName(of: procedure.grpc.method ?? (overloads == 1 ? plain : full))
      if let owner = messageOwners[base] {
        return problems.append(
          ProtoProblem(
            procedure: index, other: owner,
            message: "\(signature) and \(all[owner].signature) have messages of the same name in gRPC, "
              + "'\(base)Request'; give one of them another name there with 'grpc: NAME'"))
      }
      if let taken = names.first(where: { methods[$0] != nil }), let other = methods[taken]?.procedure {
        return problems.append(
          ProtoProblem(
            procedure: index, other: other,
            message:
              "\(signature) and \(all[other].signature) have the same name in gRPC, '\(taken)'; give one of "
              + "them another name there with 'grpc: NAME'"))
      }
      messageOwners[base] = index
      let (request, response) = ProtoSignature.messages(of: procedure, named: base)
      if let problem = ProtoSignature.problem(with: request) ?? ProtoSignature.problem(with: response) {
        return problems.append(
          ProtoProblem(procedure: index, message: "\(signature) cannot be offered in gRPC: \(problem)"))
      }
      for name in names {
        methods[name] = ProtoMethod(
          name: name, procedure: index, request: request, response: response,
          isIdempotent: procedure.idempotent, documentation: procedure.documentation)
      }
    }
  }

  /// What is wrong with the names of services together.
  package static func problems(withServices names: [String]) -> [ProtoProblem] {
    var problems: [ProtoProblem] = []
    var keys: [String: Int] = [:]
    for (index, name) in names.enumerated() {
      let identifier = ProtoNames.identifier(name)
      if ProtoNames.reservedServices.contains(identifier) {
        problems.append(
          ProtoProblem(
            procedure: index, message: "the name '\(name)' is that of a package of gRPC or protobuf"))
        continue
      }
      let key = ProtoNames.camelCase(identifier)
      if let other = keys[key] {
        problems.append(
          ProtoProblem(
            procedure: index, other: other,
            message:
              "services '\(names[other])' and '\(name)' have the same name in gRPC or in what is made of it, "
              + "'\(key)'"))
        continue
      }
      keys[key] = index
    }
    // The package of one service's messages may not be the name of another service.
    let identifiers = names.map(ProtoNames.identifier)
    for (index, identifier) in identifiers.enumerated() {
      guard let other = identifiers.firstIndex(where: { ProtoNames.package(of: $0) == identifier }) else {
        continue
      }
      problems.append(
        ProtoProblem(
          procedure: index, other: other,
          message:
            "service '\(names[index])' has the name of the package of the messages of '\(names[other])' in gRPC"
        ))
    }
    return problems
  }
}
