internal import RPCSystem
public import RPCTransport
package import RPCWire

/// One call, from its caller's thread to the loop and back: arguments as bytes, deadline, where it stands, and
/// what becomes of the answer. Calls that are over are used again, so that a call made on the loop's thread
/// costs no memory.
///
/// `@unchecked Sendable`: its caller prepares it, hands it to the loop through a lock and touches it no more;
/// from then on everything happens on the loop's thread. A handle that outlives the call knows by `serial`
/// that it does.
///
/// What is marked `@exclusivity(unchecked)` is read and written in passing only, never while a reference into
/// it is held: the check would cost more than the access, thirty times per call.
@usableFromInline
internal final class Call: TimerTarget, @unchecked Sendable {
  /// Takes the reply's payload, in place, unless `failure` says why there is none. On the loop.
  @usableFromInline internal typealias Completion = @Sendable (_ call: Call, _ payload: RawSpan) -> Void

  internal enum Phase: UInt8 {
    /// Not yet given to the loop.
    case new
    /// Waits for a connection, a binding, room or the next attempt.
    case waiting
    /// On the wire, as `callID` of `connection`.
    case sent
    case done
  }

  // The caller's side
  @exclusivity(unchecked) internal var route: Route
  /// The arguments as a MessagePack list: kept until the answer, since the call may have to be sent again.
  @usableFromInline @exclusivity(unchecked) internal var arguments: ByteQueue
  @exclusivity(unchecked) internal var retry: RetryPolicy
  @exclusivity(unchecked) internal var waitForReady: Bool
  /// What the caller said; `deadline` is when that is.
  @exclusivity(unchecked) internal var timeout: Duration?
  /// Nil for none, which is the rule.
  @exclusivity(unchecked) internal var metadata: [String: Value]?
  /// On the monotonic clock, in nanoseconds.
  @exclusivity(unchecked) internal var started: UInt64
  /// On the monotonic clock, in nanoseconds; `.max` without one.
  @exclusivity(unchecked) internal var deadline: UInt64
  @usableFromInline @exclusivity(unchecked) internal var completion: Completion?

  // The loop's side
  /// Tells this call from others that the object was and will be.
  @usableFromInline @exclusivity(unchecked) internal var serial: UInt64 = 0
  @exclusivity(unchecked) internal var phase = Phase.new
  @exclusivity(unchecked) internal var wasCancelledEarly = false
  @exclusivity(unchecked) internal var isIdempotent = false
  /// Set while the call is the core's. The core outlives its calls: closing it ends them.
  @exclusivity(unchecked) internal unowned(unsafe) var core: ClientCore?
  /// Set while an attempt is the channel's, which outlives it likewise.
  @exclusivity(unchecked) internal unowned(unsafe) var channel: ClientChannel?
  /// Set while the call is in the connection's table.
  @exclusivity(unchecked) internal unowned(unsafe) var connection: ClientConnection?
  @exclusivity(unchecked) internal var callID: UInt64 = 0
  @exclusivity(unchecked) internal var attempts = 0
  /// The next of the calls that are over, while this is one.
  @exclusivity(unchecked) internal var nextSpare: Call?
  @exclusivity(unchecked) internal var deadlineTimer: TimerID?
  @exclusivity(unchecked) internal var retryTimer: TimerID?
  /// What goes beyond a call that is sent and answered; nil until something does.
  @exclusivity(unchecked) internal var retryState: RetryState?
  /// Whether `failure` says why there is no reply.
  @usableFromInline @exclusivity(unchecked) internal var hasFailed = false

  /// The history of a call that did not go smoothly.
  internal final class RetryState {
    var attempts = AttemptHistory()
    var rebinds = 0
    /// The channel that the last attempt failed at.
    var failedChannel: ObjectIdentifier?
    var failure: RPCError?
  }

  /// - Parameter now: on the monotonic clock.
  internal init(route: Route, options: CallOptions, now: UInt64) {
    self.route = route
    retry = options.retry
    waitForReady = options.waitForReady
    timeout = options.deadline
    metadata = options.metadata.isEmpty ? nil : options.metadata
    arguments = ByteQueue()
    started = now
    deadline = Self.deadline(now, options.deadline)
  }

  /// Makes a call that is over a new one.
  internal func renew(route: Route, options: CallOptions, now: UInt64) {
    if self.route !== route { self.route = route }
    retry = options.retry
    waitForReady = options.waitForReady
    timeout = options.deadline
    if !options.metadata.isEmpty { metadata = options.metadata }
    started = now
    deadline = options.deadline == nil ? .max : Self.deadline(now, options.deadline)
    phase = .new
    callID = 0
    attempts = 0
  }

  /// Ends what the call was, keeping its memory.
  internal func retire() {
    serial &+= 1
    completion = nil
    arguments.removeAll()
    wasCancelledEarly = false
    if metadata != nil { metadata = nil }
    if retryState != nil {
      retryState = nil
      hasFailed = false
    }
  }

  internal var mayHaveExecuted: Bool { retryState?.attempts.mayHaveExecuted ?? false }

  /// The history, begun if need be.
  internal var history: RetryState {
    if let retryState { return retryState }
    let begun = RetryState()
    retryState = begun
    return begun
  }

  /// Why there is no reply; asked where `hasFailed`.
  @usableFromInline
  internal var failure: RPCError {
    retryState?.failure ?? RPCError(.unavailable, "the call ended without a reason", executed: .maybe)
  }

  internal func setFailure(_ error: RPCError) {
    hasFailed = true
    history.failure = error
  }

  private static func deadline(_ start: UInt64, _ duration: Duration?) -> UInt64 {
    guard let duration else { return .max }
    let nanoseconds = duration.nanoseconds
    return nanoseconds >= ClientLimits.deadlineNanosecondsMax ? .max : start &+ nanoseconds
  }

  /// The loop's clock may be a turn old; a deadline is judged by it all the same, as timers are.
  internal func remaining(at now: UInt64) -> UInt64? {
    deadline == .max ? nil : deadline > now ? deadline - now : 0
  }

  internal static let deadlineTag: UInt64 = 0
  internal static let retryTag: UInt64 = 1

  @usableFromInline
  internal func timerFired(tag: UInt64, on loop: EventLoop) {
    core?.timerFired(for: self, tag: tag)
  }

  // MARK: Values

  internal func encode(_ values: [Value]) {
    arguments.appendListHeader(count: values.count)
    for value in values { value.encode(to: &arguments) }
  }

  /// What the call, which is over, returned.
  internal func result(_ payload: RawSpan) -> Result<CallResult, RPCError> {
    if hasFailed { return .failure(failure) }
    do {
      let values = try decodeValues(payload)
      let now = SystemClock.monotonicNanoseconds()
      let elapsed = Duration.nanoseconds(Int64(clamping: now > started ? now - started : 0))
      return .success(
        CallResult(values: values, server: channel?.server.name ?? "", elapsed: elapsed, attempts: attempts))
    } catch {
      return .failure(undecodable(error))
    }
  }

  /// The reply is not what the caller's types, or the protocol, let it be.
  @usableFromInline
  internal func undecodable(_ error: WireError) -> RPCError {
    Self.undecodable(error, route: route, from: channel?.server.name ?? "")
  }

  internal static func undecodable(_ error: WireError, route: Route, from server: String) -> RPCError {
    var failure = RPCError(
      .protocolError, "the result of \(route.name) from server '\(server)' cannot be read: \(error)",
      executed: .yes)
    failure.server = server.isEmpty ? nil : server
    return failure
  }
}
