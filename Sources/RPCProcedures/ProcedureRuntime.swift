package import RPCWire

/// What runs procedures of one language on one loop. It is confined to that loop's thread: it is called there
/// and answers there, at once or in a later turn.
package protocol ProcedureRuntime: AnyObject {
  /// Loads a source so that calls of it start at once, and checks that its function is there and takes as
  /// many arguments as declared. Calls `completion` exactly once.
  func prepare(_ unit: SourceUnit, completion: @escaping (Result<Void, RPCError>) -> Void)

  /// Nobody waits any more for these to be loaded: ends what is not finished. Its completions are called.
  func cancelPreparing(_ units: [SourceUnit])

  /// Starts a call of a prepared procedure; the runtime calls `invocation.finish` exactly once.
  func invoke(_ invocation: Invocation)

  /// What runs calls of a procedure where they are read, now that it was called once; nil where that cannot be.
  func spotProcedure(of unit: SourceUnit) -> (any SpotProcedure)?

  /// Ends a call that was started and is not finished: its caller is gone or out of time. The runtime
  /// finishes it, with `reason` unless the result was quicker.
  func cancel(_ invocation: Invocation, reason: RPCError)

  /// The secrets were read again: what was started with others is used for no further call.
  func secretsChanged()

  /// No generation in force or in flight needs these sources any more.
  func forget(digests: [String])

  /// What confines its processes, as far as that is known.
  var isolationTier: String? { get }

  /// Ends every call and every process, at once.
  func shutdown()

  /// How busy it is.
  var load: RuntimeLoad { get }
}

extension ProcedureRuntime {
  /// For runtimes whose calls are answered elsewhere.
  package func spotProcedure(of unit: SourceUnit) -> (any SpotProcedure)? { nil }

  /// For runtimes that load at once.
  package func cancelPreparing(_ units: [SourceUnit]) {}

  /// For runtimes that ask for them each time.
  package func secretsChanged() {}

  /// For those that have none.
  package var isolationTier: String? { nil }
}

/// One call that a runtime executes.
package final class Invocation {
  package let unit: SourceUnit
  /// The arguments as the wire has them: a MessagePack list whose values fit the declared types. An int may
  /// stand where a float is declared.
  package let arguments: [UInt8]
  /// When the call must have ended, on the loop's clock in nanoseconds, or nil. Who made the call sees to that, by
  /// `ProcedureRuntime.cancel`; a runtime passes it on to the calls that the procedure makes.
  package let deadline: UInt64?
  /// How deep the call is nested in calls of other procedures: 0 for a client's, at most
  /// `WireLimits.callDepthMax`.
  package let depth: Int
  /// Who makes it, and what came with it.
  package let context: CallContext
  /// The runtime's own state of this call.
  package var state: AnyObject?
  private var completion: ((Result<[UInt8], RPCError>) -> Void)?

  /// - Parameter completion: takes the return values as a MessagePack list that fits the declared types.
  package init(
    unit: SourceUnit, arguments: [UInt8], deadline: UInt64?, depth: Int = 0,
    context: CallContext = CallContext(),
    completion: @escaping (Result<[UInt8], RPCError>) -> Void
  ) {
    self.unit = unit
    self.arguments = arguments
    self.deadline = deadline
    self.depth = min(max(0, depth), WireLimits.callDepthMax)
    self.context = context
    self.completion = completion
  }

  package var procedure: Procedure { unit.procedure }
  package var isFinished: Bool { completion == nil }

  /// Ends the call. Later results of the same call are dropped: a cancelled call may finish late.
  package func finish(_ result: Result<[UInt8], RPCError>) {
    guard let completion else { return }
    self.completion = nil
    state = nil
    completion(result)
  }
}

/// How a procedure calls another one: the server's own client, bound to the loop.
package protocol NestedCaller: AnyObject {
  /// Calls `procedure` (`service.rpc`) on `server`, or on any provider when nil, within `deadline` (loop
  /// nanoseconds). `completion` runs on the loop, exactly once.
  ///
  /// - Parameters:
  ///   - service: the service whose procedure makes the call: it is made in that one's name.
  ///   - depth: how deep the new call is nested: one more than the call that makes it. Above
  ///     `WireLimits.callDepthMax` it is refused.
  ///   - metadata: what goes along with it.
  /// - Returns: what ends the call when the procedure that made it is ended; harmless once it is answered.
  func call(
    _ procedure: String, _ arguments: [Value], on server: String?, from service: String, deadline: UInt64?,
    depth: Int, metadata: [String: Value], completion: @escaping (Result<[Value], RPCError>) -> Void
  ) -> () -> Void
}
