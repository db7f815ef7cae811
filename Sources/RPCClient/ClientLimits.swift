/// Every bound of the client, in one place. What crosses one fails with the actual size and the limit.
package enum ClientLimits {
  /// Calls that wait for one server: for its connection, or for room among its calls in flight.
  package static let waitingCallsMax = 65_536
  /// Combinations of procedure, server and types whose lookup is remembered; beyond, all are forgotten.
  package static let routesMax = 4_096
  /// Times a call may move on because it certainly never reached a procedure, before that is an error.
  package static let transparentMovesMax = 8
  /// Times in a row a call binds again because its procedure's id was stale.
  package static let rebindsMax = 4
  /// Attempts that a `RetryPolicy` may ask for.
  package static let attemptsMax = 16
  /// How long a call waits for the first server that it connects to before another provider is connected to as
  /// well, in nanoseconds: RFC 8305's connection attempt delay.
  package static let connectionAttemptDelayNanoseconds: UInt64 = 250_000_000
  /// Events that wait for a reader; older ones are dropped.
  package static let unreadEventsMax = 1_024
  /// The longest deadline, in nanoseconds: a year. A longer one means none.
  package static let deadlineNanosecondsMax: UInt64 = 365 * 86_400 * 1_000_000_000
}
