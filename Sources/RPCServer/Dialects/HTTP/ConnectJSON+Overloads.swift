internal import RPCProcedures
internal import RPCTransport
internal import RPCWire

/// Which overload a body means: by the names of its arguments, then by their types.
extension ConnectJSON {
  /// How the arguments of a body stand to the parameters of one overload.
  private struct Candidate {
    var procedure: BoundProcedure
    /// For each parameter where its argument is; nil where it takes what its type has when nothing is said.
    var positions: [Int?]
  }

  static func resolve(
    _ body: RawSpan, fromConnect: Bool, _ overloads: [BoundProcedure], in catalogue: Catalogue
  ) throws(RPCError) -> ResolvedCall {
    let arguments: JSONBody
    do {
      arguments = try JSONBody(body)
    } catch {
      throw RPCError(.invalidArguments, "the body is not JSON arguments: \(error)")
    }
    let candidates = overloads.compactMap { overload in
      positions(of: arguments, for: overload.signature, fromConnect: fromConnect)
        .map { Candidate(procedure: overload, positions: $0) }
    }
    guard candidates.count > 1 else {
      guard let only = candidates.first else { throw noFit(arguments, overloads, in: catalogue) }
      return try encode(arguments, for: only, overloads, in: catalogue)
    }
    // Values as they stand, by their own types, before strings are read as something else.
    let types = (0..<arguments.count).map { arguments.type(at: $0) }
    let byTypes = candidates.compactMap { candidate in
      cost(of: types, candidate).map { (candidate: candidate, cost: $0) }
    }.sorted { $0.cost < $1.cost }
    for choice in byTypes {
      if let call = try? encode(arguments, for: choice.candidate, overloads, in: catalogue) { return call }
    }
    for candidate in candidates {
      if let call = try? encode(arguments, for: candidate, overloads, in: catalogue) { return call }
    }
    let found = types.map(\.description).joined(separator: ", ")
    throw catalogue.invalidArguments("no overload takes (\(found))", overloads)
  }

  /// Where the arguments stand for a signature; nil where their names or their number are not its own.
  private static func positions(
    of arguments: borrowing JSONBody, for signature: Signature, fromConnect: Bool
  ) -> [Int?]? {
    let parameters = signature.parameters
    guard arguments.isNamed else {
      // No body at all is no arguments; so is an empty list.
      return arguments.count == parameters.count ? Array(0..<parameters.count) : nil
    }
    guard arguments.count <= parameters.count else { return nil }
    var positions: [Int?] = []
    var used = 0
    for (index, parameter) in parameters.enumerated() {
      let position = arguments.position(of: signature.argumentName(at: index))
      if position != nil {
        used += 1
      } else if !fromConnect, !parameter.type.isOptional {
        return nil
      }
      positions.append(position)
    }
    return used == arguments.count ? positions : nil
  }

  private static func cost(of types: [ValueType], _ candidate: Candidate) -> Int? {
    var total = 0
    for (parameter, position) in zip(candidate.procedure.signature.parameters, candidate.positions) {
      guard let position else { continue }
      guard let cost = parameter.type.conversionCost(from: types[position]) else { return nil }
      total += cost
    }
    return total
  }

  private static func encode(
    _ arguments: borrowing JSONBody, for candidate: Candidate, _ overloads: [BoundProcedure],
    in catalogue: Catalogue
  ) throws(RPCError) -> ResolvedCall {
    let signature = candidate.procedure.signature
    var encoded = ByteQueue()
    do {
      try arguments.encode(candidate.positions, as: signature.parameterTypes, to: &encoded)
    } catch {
      throw catalogue.invalidArguments("\(signature.qualifiedName): \(error.message)", overloads)
    }
    return ResolvedCall(procedure: candidate.procedure, arguments: encoded.copy())
  }

  /// The error for arguments whose names or number fit no overload: which name is wrong or missing.
  private static func noFit(
    _ arguments: borrowing JSONBody, _ overloads: [BoundProcedure], in catalogue: Catalogue
  ) -> RPCError {
    let signature = overloads[0].signature
    let name = signature.qualifiedName
    guard arguments.isNamed else {
      let message = "\(name) does not take \(English.count(arguments.count, "argument"))"
      return catalogue.invalidArguments(message, overloads)
    }
    let known = overloads.flatMap { overload in
      overload.signature.parameters.indices.map { overload.signature.argumentName(at: $0) }
    }
    if let unknown = arguments.names.first(where: { name in !known.contains { $0.hasSameUTF8(as: name) } }) {
      var message = "\(name) has no argument '\(unknown.prefix(64))'"
      if let near = Spelling.nearest(to: unknown, in: known) { message += "; did you mean '\(near)'?" }
      return catalogue.invalidArguments(message, overloads)
    }
    if overloads.count == 1,
      let missing = signature.parameters.indices.first(where: {
        arguments.position(of: signature.argumentName(at: $0)) == nil
          && !signature.parameters[$0].type.isOptional
      })
    {
      return catalogue.invalidArguments(
        "\(name): the argument '\(signature.argumentName(at: missing))' is missing", overloads)
    }
    return catalogue.invalidArguments(
      "no overload of \(name) takes the arguments \(arguments.names.map { "'\($0)'" }.joined(separator: ", "))",
      overloads)
  }
}

extension Signature {
  /// The name of an argument: the declared one, or `arg1` for the first.
  internal func argumentName(at index: Int) -> String { parameters[index].name ?? "arg\(index + 1)" }
}

extension ValueType {
  internal var isOptional: Bool { if case .optional = self { true } else { false } }
}
