internal import RPCSystem
public import RPCWire

// MARK: Calls from threads that may wait

extension RPCClient {
  /// Calls a procedure and blocks the calling thread until it has answered. For programs that are not tasks;
  /// never from a task or a callback.
  @inlinable
  public func callBlocking<each A: RPCValue, each R: RPCValue>(
    _ procedure: String, _ arguments: repeat each A, on server: String? = nil,
    options: CallOptions = CallOptions()
  ) throws(RPCError) -> (repeat each R) {
    let remote = try self.procedure(
      procedure, taking: repeat (each A).self, returning: repeat (each R).self, on: server)
    return try callBlocking(remote, repeat each arguments, options: options)
  }

  /// Calls a procedure that was looked up before and blocks until it has answered.
  @inlinable
  public func callBlocking<each A: RPCValue, each R: RPCValue>(
    _ procedure: RemoteProcedure, _ arguments: repeat each A, options: CallOptions = CallOptions()
  ) throws(RPCError) -> (repeat each R) {
    guard blocking.takeShortCut() else {
      let call = makeCall(procedure, repeat each arguments, options: options, as: repeat (each R).self)
      let answer = BlockingAnswer<(repeat each R)>()
      call.completion = { call, payload in answer.put(outcome(of: call, payload, as: repeat (each R).self)) }
      engine.submit(call)
      return try answer.wait().get()
    }
    defer { blocking.giveBackShortCut() }
    checkTypes(procedure, repeat (each A).self, returning: repeat (each R).self)
    var results = DecodedResults<(repeat each R)>()
    try blocking.call(procedure, options: options) { queue in
      encodeArguments(repeat each arguments, to: &queue)
    } decode: { payload throws(WireError) in
      results.put(try decodeResults(payload, as: repeat (each R).self))
    }
    return results.taken
  }

  /// Calls a procedure with values and blocks until it has answered.
  public func invokeBlocking(
    _ procedure: String, _ arguments: [Value], types: [ValueType]? = nil, on server: String? = nil,
    options: CallOptions = CallOptions()
  ) throws(RPCError) -> CallResult {
    guard blocking.takeShortCut() else {
      let answer = BlockingAnswer<CallResult>()
      start(procedure, arguments, types: types, on: server, options: options) { answer.put($0) }
      return try answer.wait().get()
    }
    defer { blocking.giveBackShortCut() }
    let started = SystemClock.monotonicNanoseconds()
    var values: [Value] = []
    let route = try dynamicRoute(procedure, arguments, types: types, on: server)
    let (name, attempts) = try blocking.perform(route, options) { queue in
      queue.appendListHeader(count: arguments.count)
      for argument in arguments { argument.encode(to: &queue) }
    } decode: { payload throws(WireError) in
      values = try decodeValues(payload)
    }
    let elapsed = Duration.nanoseconds(Int64(clamping: SystemClock.monotonicNanoseconds() &- started))
    return CallResult(values: values, server: name, elapsed: elapsed, attempts: attempts)
  }
}

/// What a reply was decoded into. (The compiler has no optional tuples of a pack's types yet.)
@usableFromInline
internal struct DecodedResults<Output> {
  @usableFromInline internal var values: Output?

  @inlinable
  internal init() {}

  @inlinable
  internal mutating func put(_ output: Output) { values = output }

  @inlinable
  internal var taken: Output {
    guard let values else { preconditionFailure("a call that did not fail was decoded") }
    return values
  }
}

/// Where a thread waits for the loop's answer.
@usableFromInline
internal final class BlockingAnswer<Output: Sendable>: Sendable {
  private let result = Lock<Result<Output, RPCError>?>(nil)
  private let finished = Latch()

  @usableFromInline
  internal init() {}

  @usableFromInline
  internal func put(_ answer: Result<Output, RPCError>) {
    result.withLock { $0 = answer }
    finished.signal()
  }

  @usableFromInline
  internal func wait() -> Result<Output, RPCError> {
    finished.wait()
    guard let answer = result.withLock({ $0 }) else { preconditionFailure("signalled without an answer") }
    return answer
  }
}
