public import RPCWire

#if THREAD_SANITIZER
  public import RPCTransport
#else
  internal import RPCTransport
#endif

/// A procedure that was looked up once, for callers that call it very often.
public struct RemoteProcedure: Sendable {
  @usableFromInline internal let route: Route
  /// Arguments and results as one function type.
  @usableFromInline internal let signature: ObjectIdentifier
}

/// Ends a call that was started with a callback.
public struct CallHandle: Sendable {
  @usableFromInline internal let call: Call?
  @usableFromInline internal let serial: UInt64
  @usableFromInline internal let engine: ClientEngine

  @inlinable
  internal init(call: Call?, serial: UInt64, engine: ClientEngine) {
    self.call = call
    self.serial = serial
    self.engine = engine
  }

  /// Ends the call, on the server too; its callback gets `Cancelled` unless it is over.
  public func cancel() {
    if let call { engine.cancel(call, serial: serial) }
  }
}

// MARK: Typed calls

extension RPCClient {
  /// Calls a procedure and returns its results as the types that the caller writes:
  /// `let (quotient, rest): (Int, Int) = try await client.call("math.divide", 7, 2)`.
  ///
  /// Cancelling the task ends the call, on the server too.
  ///
  /// - Parameters:
  ///   - procedure: `SERVICE.PROCEDURE`.
  ///   - arguments: their Swift types pick the overload.
  ///   - server: the name of a server; nil is any provider of the service.
  ///   - options: deadline, retries, metadata.
  @inlinable
  public func call<each A: RPCValue, each R: RPCValue>(
    _ procedure: String, _ arguments: repeat each A, on server: String? = nil,
    options: CallOptions = CallOptions()
  ) async throws(RPCError) -> (repeat each R) {
    let remote = try self.procedure(
      procedure, taking: repeat (each A).self, returning: repeat (each R).self, on: server)
    return try await call(remote, repeat each arguments, options: options)
  }

  /// Looks a procedure up once; what it returns is called without a lookup by name. Whether the server has it
  /// turns out with the first call.
  @inlinable
  public func procedure<each A: RPCValue, each R: RPCValue>(
    _ name: String, taking arguments: repeat (each A).Type, returning results: repeat (each R).Type,
    on server: String? = nil
  ) throws(RPCError) -> RemoteProcedure {
    let signature = ObjectIdentifier(((repeat each A) -> (repeat each R)).self)
    return try remoteProcedure(name, server: server, signature: signature) {
      var argumentTypes: [ValueType] = []
      repeat argumentTypes.append((each A).valueType)
      var returnTypes: [ValueType] = []
      repeat returnTypes.append((each R).valueType)
      return (argumentTypes, returnTypes)
    }
  }

  @usableFromInline
  internal func remoteProcedure(
    _ name: String, server: String?, signature: ObjectIdentifier,
    types: () -> (arguments: [ValueType], returns: [ValueType])
  ) throws(RPCError) -> RemoteProcedure {
    RemoteProcedure(
      route: try engine.routes.typed(name, server: server, signature: signature, types: types),
      signature: signature)
  }

  /// Calls a procedure that was looked up before.
  @inlinable
  public func call<each A: RPCValue, each R: RPCValue>(
    _ procedure: RemoteProcedure, _ arguments: repeat each A, options: CallOptions = CallOptions()
  ) async throws(RPCError) -> (repeat each R) {
    let call = makeCall(procedure, repeat each arguments, options: options, as: repeat (each R).self)
    let serial = call.serial
    let engine = engine
    let result: Result<(repeat each R), RPCError> = await withTaskCancellationHandler {
      await withUnsafeContinuation { continuation in
        call.completion = { call, payload in
          continuation.resume(returning: outcome(of: call, payload, as: repeat (each R).self))
        }
        engine.submit(call)
      }
    } onCancel: {
      engine.cancel(call, serial: serial)
    }
    return try result.get()
  }

  /// Starts a call; `completion` runs on the client's own thread, exactly once, and must not block it. A
  /// call started in there costs no change of threads.
  @inlinable
  @inline(__always)
  @discardableResult
  public func start<each A: RPCValue, each R: RPCValue>(
    _ procedure: RemoteProcedure, _ arguments: repeat each A, options: CallOptions = CallOptions(),
    completion: @escaping @Sendable (Result<(repeat each R), RPCError>) -> Void
  ) -> CallHandle {
    let (call, serial) = begin(procedure, repeat each arguments, options: options, completion: completion)
    return CallHandle(call: call, serial: serial, engine: engine)
  }

  @inlinable
  internal func begin<each A: RPCValue, each R: RPCValue>(
    _ procedure: RemoteProcedure, _ arguments: repeat each A, options: CallOptions,
    completion: @escaping @Sendable (Result<(repeat each R), RPCError>) -> Void
  ) -> (call: Call, serial: UInt64) {
    checkTypes(procedure, repeat (each A).self, returning: repeat (each R).self)
    return engine.start(procedure.route, options) { queue in
      encodeArguments(repeat each arguments, to: &queue)
    } completion: { call, payload in
      completion(outcome(of: call, payload, as: repeat (each R).self))
    }
  }

  @inlinable
  internal func checkTypes<each A: RPCValue, each R: RPCValue>(
    _ procedure: RemoteProcedure, _ arguments: repeat (each A).Type, returning results: repeat (each R).Type
  ) {
    precondition(
      procedure.signature == ObjectIdentifier(((repeat each A) -> (repeat each R)).self),
      "a procedure is called with the types it was looked up with")
  }

  @inlinable
  internal func makeCall<each A: RPCValue, each R: RPCValue>(
    _ procedure: RemoteProcedure, _ arguments: repeat each A, options: CallOptions,
    as results: repeat (each R).Type
  ) -> Call {
    checkTypes(procedure, repeat (each A).self, returning: repeat (each R).self)
    let call = engine.makeCall(procedure.route, options)
    encodeArguments(repeat each arguments, to: &call.arguments)
    return call
  }
}

/// What a call that is over is to its caller.
@inlinable
internal func outcome<each R: RPCValue>(
  of call: Call, _ payload: RawSpan, as results: repeat (each R).Type
) -> Result<(repeat each R), RPCError> {
  if call.hasFailed { return .failure(call.failure) }
  do {
    return .success(try decodeResults(payload, as: repeat (each R).self))
  } catch {
    return .failure(call.undecodable(error))
  }
}

// MARK: Values

extension RPCClient {
  /// Calls a procedure with values whose types are known at run time only: for shells and tools.
  ///
  /// - Parameters:
  ///   - procedure: `SERVICE.PROCEDURE`.
  ///   - arguments: the values.
  ///   - types: the argument types to look the procedure up by; nil takes those of the values.
  ///   - server: the name of a server; nil is any provider of the service.
  ///   - options: deadline, retries, metadata.
  public func invoke(
    _ procedure: String, _ arguments: [Value], types: [ValueType]? = nil, on server: String? = nil,
    options: CallOptions = CallOptions()
  ) async throws(RPCError) -> CallResult {
    let call = try makeCall(procedure, arguments, types: types, on: server, options: options)
    let serial = call.serial
    let engine = engine
    let result: Result<CallResult, RPCError> = await withTaskCancellationHandler {
      await withUnsafeContinuation { continuation in
        call.completion = { call, payload in continuation.resume(returning: call.result(payload)) }
        engine.submit(call)
      }
    } onCancel: {
      engine.cancel(call, serial: serial)
    }
    return try result.get()
  }

  /// Starts a call; `completion` runs on the client's own thread, exactly once, and must not block it.
  @discardableResult
  public func start(
    _ procedure: String, _ arguments: [Value], types: [ValueType]? = nil, on server: String? = nil,
    options: CallOptions = CallOptions(),
    completion: @escaping @Sendable (Result<CallResult, RPCError>) -> Void
  ) -> CallHandle {
    do {
      let call = try makeCall(procedure, arguments, types: types, on: server, options: options)
      let serial = call.serial
      call.completion = { call, payload in completion(call.result(payload)) }
      engine.submit(call)
      return CallHandle(call: call, serial: serial, engine: engine)
    } catch {
      completion(.failure(error))
      return CallHandle(call: nil, serial: 0, engine: engine)
    }
  }

  private func makeCall(
    _ procedure: String, _ arguments: [Value], types: [ValueType]?, on server: String?, options: CallOptions
  ) throws(RPCError) -> Call {
    let route = try dynamicRoute(procedure, arguments, types: types, on: server)
    let call = engine.makeCall(route, options)
    call.encode(arguments)
    return call
  }

  internal func dynamicRoute(
    _ procedure: String, _ arguments: [Value], types: [ValueType]?, on server: String?
  ) throws(RPCError) -> Route {
    let types = types ?? arguments.map { ValueType(describing: $0) }
    guard types.count == arguments.count else {
      throw RPCError(.invalidArguments, "\(arguments.count) arguments, but \(types.count) argument types")
    }
    return try engine.routes.dynamic(procedure, server: server, types: types)
  }
}
