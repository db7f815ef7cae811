import RPCClient
import RPCProcedures
import RPCWire

/// What is remembered of the last call and the last failure: for `why`.
struct CallHistory: Hashable, Sendable {
  struct Failure: Hashable, Sendable {
    var request: CallRequest
    var error: RPCError
    var elapsed: Duration
    var servers: [String]
  }

  var lastFailure: Failure?
  /// A failure before any call: a line that could not be understood.
  var lastUsage: CommandFailure?
  var lastSuccess: CallResult?
}
