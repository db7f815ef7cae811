internal import RPCProcedures
internal import RPCTransport
internal import RPCWire

/// Calls of procedures in a runtime that may end where they are read.
extension CallCore {
  /// What runs a call of the procedure where it is read, if it may begin now.
  @inline(__always)
  func spot(for procedure: BoundProcedure, bytes: Int, on connection: ServerConnection) -> (
    any SpotProcedure
  )? {
    guard bytes <= BoundProcedure.spotBytes, let spot = host.spot(of: procedure),
      (try? admit(bytes, on: connection)) != nil
    else { return nil }
    return spot
  }

  /// A call that has ended where it was read.
  @inline(__always)
  func executedInRuntime(_ procedure: BoundProcedure, by caller: Caller) {
    executed(procedure, times: 1, by: caller)
    host.countDuration(procedure)
  }

  /// A call that was begun where it was read, and is now one like every other.
  func goOn(
    _ rest: any SpotRest, _ id: UInt64, _ procedure: BoundProcedure, _ arguments: [UInt8],
    timeoutNanoseconds: UInt64,
    context: CallContext, on connection: ServerConnection, sink: any ReplySink
  ) {
    guard case .source(let unit) = procedure.implementation,
      let runtime = host.runtime(for: unit.procedure.language)
    else { preconditionFailure("only a runtime leaves a rest") }
    let started = host.loop.now
    let call = ServerCall(
      id: id, procedure: procedure, caller: connection.caller, started: started,
      deadline: deadline(of: procedure, timeout: timeoutNanoseconds, from: started), arguments: arguments,
      context: context, sink: sink, core: self, connection: connection)
    connection.began(call)
    rest.goOn(as: invocation(of: call, unit, in: runtime, on: connection))
  }
}
