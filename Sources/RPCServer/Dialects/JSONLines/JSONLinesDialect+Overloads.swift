internal import RPCProcedures
internal import RPCWire

/// What a line asks for: an overload, and arguments that fit it.
internal struct ResolvedCall: Sendable {
  var procedure: BoundProcedure
  var arguments: [UInt8]
}

/// Which overload a line means.
extension JSONLinesDialect {
  /// Picks the overload, by the types that the request names, else by what its values fit, and encodes the arguments.
  ///
  /// - Parameter overloads: of that procedure, in `catalogue`; the caller may call them.
  static func resolve(
    _ request: JSONDialect.Request, _ arguments: JSONArguments, _ overloads: [BoundProcedure],
    in catalogue: Catalogue
  ) throws(RPCError) -> ResolvedCall {
    if let types = request.argumentTypes {
      let procedure = try catalogue.find(
        service: request.service, procedure: request.rpc, arguments: types, returns: request.returnTypes)
      // What the caller does not know, the procedure does.
      let known = zip(types, procedure.signature.parameterTypes).map { $0.containsUnknown ? $1 : $0 }
      do {
        return ResolvedCall(procedure: procedure, arguments: try encode(arguments, as: known))
      } catch {
        throw catalogue.invalidArguments("\(procedure.signature.qualifiedName): \(error.message)", overloads)
      }
    }
    // Values as they stand, by their own types, before strings are read as something else.
    let own = arguments.types
    if let procedure = try? catalogue.find(
      service: request.service, procedure: request.rpc, arguments: own, returns: request.returnTypes),
      let encoded = try? encode(arguments, as: procedure.signature.parameterTypes)
    {
      return ResolvedCall(procedure: procedure, arguments: encoded)
    }
    var mismatch: JSONMismatch?
    let candidates = overloads.filter {
      $0.signature.parameters.count == own.count && $0.signature.returnsFit(request.returnTypes)
    }
    for overload in candidates {
      do {
        return ResolvedCall(
          procedure: overload, arguments: try encode(arguments, as: overload.signature.parameterTypes))
      } catch {
        mismatch = error
      }
    }
    // With one candidate what is wrong with it is the answer; with several it is that none fits.
    if let mismatch, candidates.count == 1 {
      throw catalogue.invalidArguments(
        "\(candidates[0].signature.qualifiedName): \(mismatch.message)", overloads)
    }
    throw catalogue.noOverload(
      service: request.service, procedure: request.rpc, arguments: own, returns: request.returnTypes,
      overloads)
  }

  private static func encode(
    _ arguments: JSONArguments, as types: [ValueType]
  ) throws(JSONMismatch) -> [UInt8] {
    var encoded = ByteQueue()
    try arguments.encode(as: types, to: &encoded)
    return encoded.copy()
  }
}
