internal import RPCProcedures
internal import RPCWire

extension CallCore {
  /// What the path of a unary request means, over whichever version of HTTP it came: in protobuf a method, in JSON all
  /// overloads of a procedure. The caller may call them.
  ///
  /// - Parameters:
  ///   - place: what the path says; nil where it is none of a procedure's.
  ///   - target: the method that gRPC has at this path, which is looked for where it is needed.
  /// - Throws: `RPCNotFound` where nothing is there, and what `overloads` and `authorise` throw.
  func overloads(
    at path: @autoclosure () -> String, _ place: HTTPPath?, format: any UnaryFormat.Type,
    target: @autoclosure () -> GRPCTarget, for connection: ServerConnection, as token: TokenCaller?
  ) throws(RPCError) -> [BoundProcedure] {
    guard let place else {
      throw RPCError(
        .rpcNotFound, "nothing is at '\(path().prefix(64))': a procedure is at /SERVICE/PROCEDURE")
    }
    try HTTPOffer.check(service: place.service, procedure: place.procedure)
    guard format is any ProtoFormat.Type else {
      return try overloads(
        service: place.service, procedure: place.procedure, for: connection, as: token)
    }
    guard case .procedure(let method) = target() else { throw host.grpcMethods.unknown(path()) }
    try authorise(method.procedure, for: connection, as: token)
    return [method.procedure]
  }
}
