internal import RPCWire

/// What is known of a call from its attempts so far, and what follows from it: the same for callers that wait and for
/// those that do not. Pure.
internal struct AttemptHistory {
  /// An attempt went out whose fate is not known.
  private(set) var mayHaveExecuted = false
  private(set) var lastError: RPCError?
  /// Attempts that do not count, since no procedure was reached.
  private var moves = 0

  /// An attempt failed.
  ///
  /// - Parameters:
  ///   - attempts: made so far, this one included; one that does not count is taken off.
  ///   - circumstances: `attempts` and `moves` are filled in.
  /// - Returns: what to do now. `final` says what the caller is told where that is to fail.
  internal mutating func failed(
    _ error: RPCError, _ attempts: inout Int, _ policy: RetryPolicy,
    _ circumstances: RetryDecision.Circumstances, chance: Double
  ) -> RetryDecision {
    lastError = error
    if error.executed == .maybe { mayHaveExecuted = true }
    var circumstances = circumstances
    circumstances.attempts = attempts
    circumstances.moves = moves
    let decision = RetryDecision.decide(error, policy, circumstances, chance: chance)
    if decision == .move {
      moves += 1
      attempts -= 1
    }
    return decision
  }

  /// An error as the caller is told it, seen over all attempts.
  internal func final(_ error: RPCError) -> RPCError {
    guard mayHaveExecuted, error.executed == .no else { return error }
    var error = error
    error.executed = .maybe
    error.message += "; an earlier attempt may have been executed"
    return error
  }
}
