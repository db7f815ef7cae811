internal import RPCTransport
public import RPCWire

/// A procedure that was looked up once, for callers that call it very often.
public struct RemoteProcedure: Sendable {
  @usableFromInline internal let route: Route
  /// Arguments and results as one function type.
  @usableFromInline internal let signature: ObjectIdentifier
}

/// Ends a call that was started with a callback.
public struct CallHandle: Sendable {
  @usableFromInline internal let call: Call?
  @usableFromInline internal let engine: ClientEngine

  @usableFromInline
  internal init(call: Call?, engine: ClientEngine) {
    self.call = call
    self.engine = engine
  }

  /// Ends the call, on the server too; its callback gets `Cancelled` unless it is over.
  public func cancel() {
    if let call { engine.cancel(call) }
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
  ///   - server: the name of a server; nil is any provider of the service.
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
    let engine = engine
    let result: Result<(repeat each R), RPCError> = await withTaskCancellationHandler {
      await withUnsafeContinuation { continuation in
        call.receiver = .task(continuation)
        engine.submit(call)
      }
    } onCancel: {
      engine.cancel(call)
    }
    return try result.get()
  }

  /// Starts a call; `completion` runs on the client's own thread, exactly once, and must not block it. A
  /// call started in there costs no change of threads.
  @inlinable
  @discardableResult
  public func start<each A: RPCValue, each R: RPCValue>(
    _ procedure: RemoteProcedure, _ arguments: repeat each A, options: CallOptions = CallOptions(),
    completion: @escaping @Sendable (Result<(repeat each R), RPCError>) -> Void
  ) -> CallHandle {
    let call = makeCall(procedure, repeat each arguments, options: options, as: repeat (each R).self)
    call.receiver = .callback(completion)
    engine.submit(call)
    return CallHandle(call: call, engine: engine)
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
  ) -> TypedCall<(repeat each R)> {
    checkTypes(procedure, repeat (each A).self, returning: repeat (each R).self)
    var queue = engine.argumentsQueue()
    encodeArguments(repeat each arguments, to: &queue)
    return TypedCall(route: procedure.route, arguments: queue, options: options) {
      (payload: RawSpan) throws(WireError) -> (repeat each R) in
      try decodeResults(payload, as: repeat (each R).self)
    }
  }
}

/// Writes the arguments as a MessagePack list.
@inlinable
internal func encodeArguments<each A: RPCValue>(_ arguments: repeat each A, to queue: inout ByteQueue) {
  var count = 0
  for _ in repeat (each A).self { count += 1 }
  queue.appendListHeader(count: count)
  repeat (each arguments).encode(to: &queue)
}

/// Reads a reply's payload as the types that the caller takes.
@inlinable
internal func decodeResults<each R: RPCValue>(
  _ payload: RawSpan, as results: repeat (each R).Type
) throws(WireError) -> (repeat each R) {
  var count = 0
  for _ in repeat (each R).self { count += 1 }
  var reader = MessagePackReader(payload)
  try checkArity(&reader, expected: count)
  return (repeat try (each R).decode(from: &reader))
}

// MARK: Values

extension RPCClient {
  /// Calls a procedure with values whose types are known at run time only: for shells and tools.
  ///
  /// - Parameter types: the argument types to look the procedure up by; nil takes those of the values.
  public func invoke(
    _ procedure: String, _ arguments: [Value], types: [ValueType]? = nil, on server: String? = nil,
    options: CallOptions = CallOptions()
  ) async throws(RPCError) -> CallResult {
    let slot = ContinuationSlot()
    let call = try makeCall(procedure, arguments, types: types, on: server, options: options) {
      slot.resume($0)
    }
    let engine = engine
    let result: Result<CallResult, RPCError> = await withTaskCancellationHandler {
      await withUnsafeContinuation { continuation in
        slot.continuation = continuation
        engine.submit(call)
      }
    } onCancel: {
      engine.cancel(call)
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
      let call = try makeCall(
        procedure, arguments, types: types, on: server, options: options, completion: completion)
      engine.submit(call)
      return CallHandle(call: call, engine: engine)
    } catch {
      completion(.failure(error))
      return CallHandle(call: nil, engine: engine)
    }
  }

  private func makeCall(
    _ procedure: String, _ arguments: [Value], types: [ValueType]?, on server: String?, options: CallOptions,
    completion: @escaping @Sendable (Result<CallResult, RPCError>) -> Void
  ) throws(RPCError) -> ValuesCall {
    let route = try dynamicRoute(procedure, arguments, types: types, on: server)
    var queue = engine.argumentsQueue()
    queue.appendListHeader(count: arguments.count)
    for argument in arguments { argument.encode(to: &queue) }
    return ValuesCall(route: route, arguments: queue, options: options, completion: completion)
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

/// Where the callback of a call finds the task that waits.
///
/// `@unchecked Sendable`: written once before the call is handed to the loop through a lock, read after.
private final class ContinuationSlot: @unchecked Sendable {
  var continuation: UnsafeContinuation<Result<CallResult, RPCError>, Never>?
  func resume(_ result: Result<CallResult, RPCError>) {
    continuation?.resume(returning: result)
    continuation = nil
  }
}
