internal import RPCWire

/// When a failed call is tried again. Whatever it says, a call is repeated only where the server cannot have
/// executed it, or where its procedure is declared idempotent and `repeatsIdempotent` allows it.
public struct RetryPolicy: Sendable, Hashable {
  /// How often the call is tried in all; 1 is not a retry.
  public var attempts: Int
  /// Allows repeating a call that may have been executed, where its procedure is declared idempotent.
  public var repeatsIdempotent: Bool
  public var backoff: Backoff

  public init(
    attempts: Int, repeatsIdempotent: Bool = false,
    backoff: Backoff = Backoff(initial: .milliseconds(20), maximum: .seconds(1), multiplier: 2)
  ) {
    self.attempts = max(1, min(attempts, ClientLimits.attemptsMax))
    self.repeatsIdempotent = repeatsIdempotent
    self.backoff = backoff
  }

  /// Three attempts, never of a call that may have been executed.
  public static let standard = RetryPolicy(attempts: 3)
  /// One attempt. A call that certainly never reached a procedure still moves to another server.
  public static let none = RetryPolicy(attempts: 1)
}

/// What to do with a call whose attempt failed. Pure.
internal enum RetryDecision: Hashable {
  case fail
  /// Try again after so many nanoseconds.
  case retry(after: UInt64)
  /// Try again at once, which counts as no attempt: no procedure was reached, and one may be elsewhere.
  case move

  struct Circumstances {
    /// The procedure is declared idempotent.
    var idempotent = false
    /// Attempts made, this one included.
    var attempts = 1
    /// The call never left, or the server said that it did not begin it because it goes away.
    var neverBegan = false
    /// Times this call moved on without counting an attempt.
    var moves = 0
    /// A provider is there that this call has not just failed at.
    var hasAlternative = false
    /// Nanoseconds until the server that failed may be tried again at all.
    var serverPause: UInt64 = 0
    /// Nanoseconds to the deadline, nil without one.
    var remaining: UInt64?
  }

  static func decide(
    _ error: RPCError, _ policy: RetryPolicy, _ circumstances: Circumstances, chance: Double
  ) -> RetryDecision {
    guard isTransient(error) else { return .fail }
    let cannotHaveRun = error.executed == .no
    guard cannotHaveRun || circumstances.idempotent && policy.repeatsIdempotent else { return .fail }
    let isUnavailable = error.exception == .unavailable
    if cannotHaveRun, circumstances.neverBegan || isUnavailable && circumstances.hasAlternative {
      if circumstances.moves < ClientLimits.transparentMovesMax { return .move }
      if circumstances.neverBegan { return .fail }
    }
    guard circumstances.attempts < policy.attempts else { return .fail }
    var pause = policy.backoff.nanoseconds(retry: circumstances.attempts, chance: chance)
    if circumstances.hasAlternative, isUnavailable {
      pause = 0
    } else {
      let hint = UInt64(clamping: error.retryAfterMilliseconds ?? 0).multipliedReportingOverflow(
        by: 1_000_000)
      let wanted = max(circumstances.serverPause, hint.overflow ? .max : hint.partialValue)
      // Better to fail now than to keep the caller longer than the policy ever would.
      guard wanted <= policy.backoff.maximum.nanoseconds else { return .fail }
      pause = max(pause, wanted)
    }
    // A pause that outlasts the deadline would only hide the reason.
    if let remaining = circumstances.remaining, pause >= remaining { return .fail }
    return .retry(after: pause)
  }

  /// Whether time or another server may help at all.
  private static func isTransient(_ error: RPCError) -> Bool {
    switch error.exception {
    case .unavailable: true
    // Without a hint when, it is a limit that the call itself is beyond.
    case .resourceExhausted: error.retryAfterMilliseconds != nil
    default: false
    }
  }
}
