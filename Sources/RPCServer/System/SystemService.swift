internal import RPCDeployment
internal import RPCProcedures
internal import RPCTransport
internal import RPCWire

/// What the server does when a procedure of `system` is called.
internal protocol SystemHandler: SystemProcedure {
  /// Answers now or later, exactly once.
  ///
  /// - Throws: why the call fails, and then it is not answered otherwise.
  func run(_ call: SystemCall<Self>) throws(RPCError)
}

/// The service `system` of this server: what the contract lists, each with its handler.
internal enum SystemService {
  static let procedures: [any SystemHandler.Type] = SystemContract.procedures.map { procedure in
    guard let handler = procedure as? any SystemHandler.Type else {
      preconditionFailure("system.\(procedure.name) has no handler")
    }
    return handler
  }

  /// Its procedures as a catalogue binds them: the id of each is its position.
  ///
  /// - Parameter service: the position of `system` in the catalogue's services.
  static func bound(service: Int) -> [BoundProcedure] {
    procedures.enumerated().map { index, handler in
      BoundProcedure(
        id: UInt32(index), procedure: handler.procedure, implementation: .system(index), service: service)
    }
  }

  /// Runs one call. Access is decided before the arguments are looked at.
  static func run(_ call: ServerCall, index: Int, on host: ServerLoop, _ connection: ServerConnection) {
    do throws(RPCError) {
      try run(procedures[index], call, host, connection)
    } catch {
      call.conclude(.failure(error), on: host.loop)
    }
  }

  private static func run<Handler: SystemHandler>(
    _ handler: Handler.Type, _ call: ServerCall, _ host: ServerLoop, _ connection: ServerConnection
  ) throws(RPCError) {
    // Whatever key it has: what runs in its name are procedures.
    guard Handler.isForProcedures || connection.nested == nil && call.context.service == nil else {
      throw SystemContract.refusal(of: Handler.name)
    }
    if Handler.access == .deployers { try host.core.deployers.check(connection.caller) }
    let arguments: [Value]
    do throws(WireError) {
      arguments = try Value.list(messagePack: call.arguments)
    } catch {
      throw RPCError(.invalidArguments, error.description)
    }
    let request = try Handler(arguments: arguments)
    try request.run(SystemCall(call: call, host: host, connection: connection))
  }
}

/// One call of a procedure of `system`, on its loop.
internal struct SystemCall<Procedure: SystemProcedure> {
  private let call: ServerCall
  let host: ServerLoop
  let connection: ServerConnection

  init(call: ServerCall, host: ServerLoop, connection: ServerConnection) {
    self.call = call
    self.host = host
    self.connection = connection
  }

  /// Who calls: the connection's caller, or whom the token of the request names.
  var caller: Caller { call.caller }

  func answer(_ answer: Procedure.Answer) {
    call.conclude(Self.outcome(.success(answer)), on: host.loop)
  }

  /// Answers later, from any thread, and keeps the call alone until then.
  func later() -> @Sendable (Result<Procedure.Answer, RPCError>) -> Void {
    let confined = LoopConfined(call, to: host.loop)
    let mailbox = host.loop.mailbox
    return { result in
      mailbox.post { loop in confined.on(loop).conclude(Self.outcome(result), on: loop) }
    }
  }

  private static func outcome(_ result: Result<Procedure.Answer, RPCError>) -> CallOutcome {
    result.map { Value.list($0.values).messagePack }
  }
}
