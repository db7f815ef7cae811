public import RPCTransport
public import RPCWire

/// One call, from its caller's thread to the loop and back: arguments as bytes, deadline, and where it
/// stands. Subclasses know what to do with the answer.
///
/// `@unchecked Sendable`: what the initialiser sets is only read later, and everything else is touched on
/// the loop's thread alone, to which the call is handed through a lock.
@usableFromInline
internal class Call: TimerTarget, @unchecked Sendable {
  internal let route: Route
  /// The arguments as a MessagePack list: kept until the answer, since the call may have to be sent again.
  internal private(set) var arguments: ByteQueue
  internal let options: CallOptions
  /// On the monotonic clock, in nanoseconds.
  internal let started: UInt64
  /// On the monotonic clock, in nanoseconds; `.max` without one.
  internal let deadline: UInt64

  // The loop's side
  internal enum Phase {
    /// Not yet given to the loop.
    case new
    /// Waits for a connection, a binding, room or the next attempt.
    case waiting
    /// On the wire, as `callID` of `session`.
    case sent
    case done
  }

  internal var phase = Phase.new
  internal var wasCancelledEarly = false
  internal var core: ClientCore?
  internal var channel: ClientChannel?
  internal var session: Session?
  internal var callID: UInt64 = 0
  internal var attempts = 0
  internal var moves = 0
  internal var rebinds = 0
  /// An attempt went out whose fate is not known.
  internal var mayHaveExecuted = false
  internal var isIdempotent = false
  internal var deadlineTimer: TimerID?
  internal var retryTimer: TimerID?
  internal var lastError: RPCError?

  @usableFromInline
  internal init(route: Route, arguments: consuming ByteQueue, options: CallOptions) {
    self.route = route
    self.arguments = arguments
    self.options = options
    let now = Syscall.monotonicNanoseconds()
    started = now
    deadline = options.deadline.map { Self.deadline(now, $0) } ?? .max
  }

  private static func deadline(_ start: UInt64, _ duration: Duration) -> UInt64 {
    let nanoseconds = duration.nanoseconds
    return nanoseconds >= ClientLimits.deadlineNanosecondsMax ? .max : start &+ nanoseconds
  }

  /// The loop's clock may be a turn old; a deadline is judged by it all the same, as timers are.
  internal func remaining(at now: UInt64) -> UInt64? {
    deadline == .max ? nil : deadline > now ? deadline - now : 0
  }

  /// Takes the reply's payload, in place. On the loop, once, unless `fail` was called.
  @usableFromInline
  internal func succeed(_ payload: RawSpan, from server: String, at now: UInt64) {
    preconditionFailure("a call knows what to do with its answer")
  }

  /// On the loop, once, unless `succeed` was called.
  @usableFromInline
  internal func fail(_ error: RPCError) {
    preconditionFailure("a call knows what to do with its answer")
  }

  internal static let deadlineTag: UInt64 = 0
  internal static let retryTag: UInt64 = 1

  @usableFromInline
  internal func timerFired(tag: UInt64, on loop: EventLoop) {
    core?.timerFired(for: self, tag: tag)
  }

  /// Gives the arguments' memory up once the call is over.
  internal func releaseArguments() -> ByteStorage? { arguments.releaseStorage() }
}
