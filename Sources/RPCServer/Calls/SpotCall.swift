internal import RPCProcedures
internal import RPCTransport
internal import RPCWire

/// What a closure that runs on the loop may ask of its call: a note of where that is to be found, since most never ask.
internal final class SpotCall: RunningCall {
  /// Where the rest of a call is found that was not begun: it ends before anything of that does.
  enum Source {
    case none
    /// A call that was begun.
    case begun(ServerCall)
    /// A CALL, with what came along, if anything did.
    case native(CallContext)
    case http1(HTTP1Head, UnsafeRawBufferPointer)
    case grpc(GRPCStream)
  }

  // Plain notes, each written in one step; every call of the fast path writes them.
  @exclusivity(unchecked) var source = Source.none
  @exclusivity(unchecked) unowned(unsafe) var connection: ServerConnection?
  @exclusivity(unchecked) unowned(unsafe) var procedure: BoundProcedure?
  /// Who calls, where that is not the connection's caller.
  @exclusivity(unchecked) unowned(unsafe) var caller: Caller?
  /// The caller's, in nanoseconds, 0 for none.
  @exclusivity(unchecked) var timeout: UInt64 = 0

  @inline(__always)
  func begin(_ procedure: BoundProcedure, on connection: ServerConnection, timeout: UInt64) {
    self.connection = connection
    self.procedure = procedure
    self.timeout = timeout
  }

  @inline(__always)
  func end() { connection = nil }

  /// As `end`, of one that noted more.
  func endAll() {
    connection = nil
    caller = nil
    source = .none
  }

  var context: RPCProcedures.CallContext? {
    if case .begun(let call) = source {
      return call.connection.map { $0.host.calls.procedureContext(of: call, on: $0) }
    }
    guard let connection, let procedure else { return nil }
    let core = connection.host.calls
    return core.procedureContext(
      sent, by: caller ?? connection.caller,
      deadline: core.deadline(of: procedure, timeout: timeout, from: connection.host.loop.now), on: connection
    )
  }

  private var sent: CallContext {
    switch source {
    case .none, .begun: return CallContext()
    case .native(let context): return context
    case .http1(let head, let bytes):
      let metadata = try? HTTPMetadata.messagePack(of: head, in: RawSpan(_unsafeBytes: bytes))
      return CallContext(metadata: metadata ?? [])
    case .grpc(let stream): return CallContext(metadata: stream.head.metadataMap())
    }
  }
}
