internal import RPCProcedures
internal import RPCTransport
internal import RPCWire

/// What a closure that runs on the loop may ask of its call: a note of where that is to be found, since most never ask.
/// Plain memory, whose references are not counted: every call of the fast path writes it, and it ends before what it names.
internal struct SpotCall {
  /// Where that is which came along with the call.
  enum Source {
    case none
    /// A call that was begun, and has all of it.
    case begun(ServerCall)
    /// A CALL, with what came along, if anything did.
    case native(CallContext)
    case http1(HTTP1Head, UnsafeRawBufferPointer)
    case grpc(GRPCStream)
  }

  var source = Source.none
  private var connection: Unmanaged<ServerConnection>?
  private var procedure: Unmanaged<BoundProcedure>?
  /// Who calls, where that is not the connection's caller.
  private var caller: Unmanaged<Caller>?
  /// The caller's, in nanoseconds, 0 for none.
  var timeout: UInt64 = 0

  @inline(__always)
  mutating func begin(_ procedure: BoundProcedure, on connection: ServerConnection, timeout: UInt64) {
    self.connection = .passUnretained(connection)
    self.procedure = .passUnretained(procedure)
    self.timeout = timeout
  }

  /// As `begin` of a call that has more to tell.
  mutating func begin(
    _ procedure: BoundProcedure, on connection: ServerConnection, timeout: UInt64, _ source: Source,
    by caller: Caller?
  ) {
    begin(procedure, on: connection, timeout: timeout)
    self.source = source
    self.caller = caller.map { .passUnretained($0) }
  }

  @inline(__always)
  mutating func end() { connection = nil }

  /// As `end`, of one that had more to tell.
  mutating func endAll() {
    connection = nil
    caller = nil
    source = .none
  }

  /// Nil while no closure runs.
  var context: RPCProcedures.CallContext? {
    if case .begun(let call) = source {
      return call.connection.map { $0.host.calls.procedureContext(of: call, on: $0) }
    }
    guard let connection = connection?.takeUnretainedValue(), let procedure = procedure?.takeUnretainedValue()
    else { return nil }
    let core = connection.host.calls
    return core.procedureContext(
      sent, by: caller?.takeUnretainedValue() ?? connection.caller,
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

extension CallCore: RunningCall {
  var context: RPCProcedures.CallContext? { spot.value.context }
}
