internal import RPCTransport
public import RPCWire
internal import Synchronization

// MARK: Calls from threads that may wait

extension RPCClient {
  /// Calls a procedure and blocks the calling thread until it has answered. For programs that are no tasks;
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
    let call = makeCall(procedure, repeat each arguments, options: options, as: repeat (each R).self)
    let answer = BlockingAnswer<(repeat each R)>()
    call.receiver = .callback { answer.put($0) }
    engine.submit(call)
    return try answer.wait().get()
  }

  /// Calls a procedure with values and blocks until it has answered.
  public func invokeBlocking(
    _ procedure: String, _ arguments: [Value], types: [ValueType]? = nil, on server: String? = nil,
    options: CallOptions = CallOptions()
  ) throws(RPCError) -> CallResult {
    let answer = BlockingAnswer<CallResult>()
    start(procedure, arguments, types: types, on: server, options: options) { answer.put($0) }
    return try answer.wait().get()
  }
}

/// Where a thread waits for the loop's answer.
@usableFromInline
internal final class BlockingAnswer<Output: Sendable>: Sendable {
  private let result = Mutex<Result<Output, RPCError>?>(nil)
  private let finished = Finished()

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
