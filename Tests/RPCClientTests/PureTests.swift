import RPCWire
import Testing

@testable import RPCClient

@Suite("Decisions and tables")
struct PureTests {
  @Test(
    "beside its server's name an error does not name it again",
    arguments: [
      ("connection refused: @", "connection refused"), ("connection closed by @", "connection closed"),
      ("@ is shutting down", "is shutting down"),
      ("no connection to @ within 3 s", "no connection within 3 s"),
      (
        "a call of 9 bytes is larger than the limit of 5 bytes of @",
        "a call of 9 bytes is larger than the limit of 5 bytes"
      ),
      ("division by zero", "division by zero"), ("@", ""),
      ("@: this port speaks TLS only", "this port speaks TLS only"),
    ])
  func beside(message: String, brief: String) {
    let server = Topology.Server(name: "s1", host: "127.0.0.1", port: 8181)
    let error = RPCError(
      .unavailable, message.replacing("@", with: "server 's1' (127.0.0.1:8181)"), executed: .maybe)
    var expected = error
    expected.message = brief
    #expect(error.beside(server) == expected)
    #expect(error.beside(nil) == error)
  }

  typealias Circumstances = RetryDecision.Circumstances

  struct RetryCase: Sendable {
    var error: RPCError
    var policy = RetryPolicy(
      attempts: 3,
      backoff: Backoff(initial: .milliseconds(10), maximum: .milliseconds(40), multiplier: 2, jitter: 0))
    var circumstances = Circumstances()
    var decision: RetryDecision
  }

  static let repeating = RetryPolicy(
    attempts: 3, repeatsIdempotent: true,
    backoff: Backoff(initial: .milliseconds(10), maximum: .milliseconds(40), multiplier: 2, jitter: 0))
  static let unavailable = RPCError(.unavailable, "", executed: .no)
  static let lost = RPCError(.unavailable, "", executed: .maybe)
  static let overloaded = RPCError(.resourceExhausted, "", executed: .no, retryAfterMilliseconds: 25)

  static let retries: [RetryCase] = [
    // Not executed, for a passing reason: again, later and later, up to the attempts.
    .init(error: unavailable, decision: .retry(after: 10_000_000)),
    .init(error: unavailable, circumstances: .init(attempts: 2), decision: .retry(after: 20_000_000)),
    .init(error: unavailable, circumstances: .init(attempts: 3), decision: .fail),
    .init(error: unavailable, policy: .none, decision: .fail),
    // Elsewhere: at once, and as no attempt, but not for ever.
    .init(error: unavailable, circumstances: .init(hasAlternative: true), decision: .move),
    .init(error: unavailable, policy: .none, circumstances: .init(hasAlternative: true), decision: .move),
    .init(
      error: unavailable,
      circumstances: .init(moves: ClientLimits.transparentMovesMax - 1, hasAlternative: true), decision: .move
    ),
    .init(
      error: unavailable, circumstances: .init(moves: ClientLimits.transparentMovesMax, hasAlternative: true),
      decision: .retry(after: 0)),
    .init(
      error: unavailable, policy: .none,
      circumstances: .init(moves: ClientLimits.transparentMovesMax, hasAlternative: true), decision: .fail),
    // The server says when.
    .init(error: overloaded, decision: .retry(after: 25_000_000)),
    .init(error: overloaded, circumstances: .init(hasAlternative: true), decision: .retry(after: 25_000_000)),
    .init(error: RPCError(.resourceExhausted, "too long"), decision: .fail),
    .init(error: RPCError(.resourceExhausted, "", retryAfterMilliseconds: 41), decision: .fail),
    .init(error: RPCError(.resourceExhausted, "", retryAfterMilliseconds: .max), decision: .fail),
    // The server may not be tried again at once; longer than the policy's longest pause is too long.
    .init(
      error: unavailable, circumstances: .init(serverPause: 40_000_000), decision: .retry(after: 40_000_000)),
    .init(error: unavailable, circumstances: .init(serverPause: 40_000_001), decision: .fail),
    .init(
      error: unavailable, circumstances: .init(hasAlternative: true, serverPause: 40_000_001),
      decision: .move),
    // The deadline comes first.
    .init(error: unavailable, circumstances: .init(remaining: 10_000_000), decision: .fail),
    .init(
      error: unavailable, circumstances: .init(remaining: 10_000_001), decision: .retry(after: 10_000_000)),
    // It may have been executed: only what is idempotent, and only where the caller allows it.
    .init(error: lost, decision: .fail),
    .init(error: lost, circumstances: .init(idempotent: true), decision: .fail),
    .init(error: lost, policy: repeating, decision: .fail),
    .init(
      error: lost, policy: repeating, circumstances: .init(idempotent: true),
      decision: .retry(after: 10_000_000)),
    .init(
      error: RPCError(.unavailable, "", executed: .yes), policy: repeating,
      circumstances: .init(idempotent: true),
      decision: .retry(after: 10_000_000)),
    // It never began: moves on without counting, but not for ever.
    .init(
      error: unavailable, policy: .none, circumstances: .init(neverBegan: true), decision: .move),
    .init(
      error: unavailable, circumstances: .init(neverBegan: true, moves: ClientLimits.transparentMovesMax - 1),
      decision: .move),
    .init(
      error: unavailable, circumstances: .init(neverBegan: true, moves: ClientLimits.transparentMovesMax),
      decision: .fail),
  ]

  @Test("a failed attempt is repeated exactly where that is safe and may help", arguments: retries.indices)
  func retry(index: Int) {
    let row = Self.retries[index]
    #expect(RetryDecision.decide(row.error, row.policy, row.circumstances, chance: 0.5) == row.decision)
  }

  @Test("what time does not heal is never repeated", arguments: RPCError.Exception.allCases)
  func permanent(exception: RPCError.Exception) {
    guard exception != .unavailable else { return }
    let decision = RetryDecision.decide(
      RPCError(exception, "", executed: .no), Self.repeating,
      Circumstances(idempotent: true, neverBegan: true, hasAlternative: true), chance: 0.5)
    #expect(decision == .fail)
  }

  @Test("pauses grow to their maximum, with a share of chance")
  func backoff() {
    let backoff = Backoff(initial: .milliseconds(100), maximum: .seconds(1), multiplier: 2, jitter: 0.2)
    let middles = (1...6).map { backoff.nanoseconds(retry: $0, chance: 0.5) / 1_000_000 }
    #expect(middles == [100, 200, 400, 800, 1000, 1000])
    #expect(backoff.nanoseconds(retry: 1, chance: 0) == 80_000_000)
    #expect(backoff.nanoseconds(retry: 1, chance: 0.999_999) < 120_000_000)
    #expect(backoff.nanoseconds(retry: 1_000_000, chance: 0.5) == 1_000_000_000)
    #expect(RetryPolicy(attempts: 1000).attempts == ClientLimits.attemptsMax)
    #expect(RetryPolicy(attempts: 0).attempts == 1)
  }
}
