/// A clock that stands still until a test turns it. A loop that is given one fires its timers by it, so that a timeout of
/// minutes takes no time, and none fires because a machine is slow.
package final class ManualClock: Sendable {
  private struct State {
    var nanoseconds: UInt64
    var observers: [@Sendable () -> Void] = []
  }

  private let state: Lock<State>

  package init(nanoseconds: UInt64 = 1_000_000_000) {
    state = Lock(State(nanoseconds: nanoseconds))
  }

  package var now: UInt64 { state.withLock { $0.nanoseconds } }

  /// Turns the clock forward, and wakes the loops that run by it.
  package func advance(by duration: Duration) {
    let (seconds, attoseconds) = duration.components
    let observers = state.withLock { state in
      state.nanoseconds += UInt64(seconds) * 1_000_000_000 + UInt64(attoseconds / 1_000_000_000)
      return state.observers
    }
    for observer in observers { observer() }
  }

  /// Has `body` called after each turn of the clock, on the thread that turns it.
  package func onAdvance(_ body: @escaping @Sendable () -> Void) {
    state.withLock { $0.observers.append(body) }
  }
}
