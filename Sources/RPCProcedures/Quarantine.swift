internal import Glibc
internal import RPCSystem
package import RPCWire
internal import Synchronization

/// Procedures that keep bringing their worker down: calls of them fail at once until the next deployment. All loops of a
/// server share one.
package final class Quarantine: Sendable {
  package struct Entry: Hashable, Sendable {
    package var signature: Signature
    /// When it began, in milliseconds since 1970.
    package var sinceMilliseconds: Int
    package var crashes: Int
    /// Within how many milliseconds.
    package var windowMilliseconds: Int
    /// How the worker ended last: `by signal 11 (SIGSEGV)`.
    package var lastEnd: String

    package var reason: String {
      let window =
        windowMilliseconds % 1000 == 0 ? "\(windowMilliseconds / 1000) s" : "\(windowMilliseconds) ms"
      return "\(crashes) calls within \(window) ended their worker, the last one \(lastEnd), at "
        + Quarantine.time(milliseconds: sinceMilliseconds)
    }
  }

  /// Worker ends within the time that bring it about; 0 for none at all.
  private let crashes: Int
  private let milliseconds: Int
  private let wallClock: @Sendable () -> Int
  /// How many there are: what every call looks at.
  private let count = Atomic<Int>(0)
  private let state = Lock(State())

  private struct State {
    var recent: [Signature: [UInt64]] = [:]
    var entries: [Signature: Entry] = [:]
  }

  /// - Parameter wallClock: milliseconds since 1970.
  package init(
    limits: RuntimeLimits = RuntimeLimits(),
    wallClock: @escaping @Sendable () -> Int = { Int(SystemClock.wallMilliseconds()) }
  ) {
    crashes = limits.quarantineCrashes
    milliseconds = limits.quarantineMilliseconds
    self.wallClock = wallClock
  }

  /// A worker ended in a call of this procedure.
  ///
  /// - Parameter now: on a clock that is never set, in nanoseconds.
  /// - Returns: what begins with that.
  package func crashed(_ signature: Signature, _ end: String, now: UInt64) -> Entry? {
    guard crashes > 0 else { return nil }
    return state.withLock { state in
      guard state.entries[signature] == nil else { return nil }
      let window = UInt64(max(0, milliseconds)) &* 1_000_000
      var times = (state.recent[signature] ?? []).filter { now &- $0 < window }
      times.append(now)
      guard times.count >= crashes else {
        state.recent[signature] = times
        return nil
      }
      state.recent[signature] = nil
      let entry = Entry(
        signature: signature, sinceMilliseconds: wallClock(), crashes: times.count,
        windowMilliseconds: milliseconds, lastEnd: end)
      state.entries[signature] = entry
      count.store(state.entries.count, ordering: .relaxed)
      return entry
    }
  }

  package var isEmpty: Bool { count.load(ordering: .relaxed) == 0 }

  /// Why a call of it is not begun; nil where it may be.
  package func refusal(of signature: Signature) -> RPCError? {
    guard !isEmpty, let entry = state.withLock({ $0.entries[signature] }) else { return nil }
    return RPCError(
      .unavailable,
      "\(signature.qualifiedName) is in quarantine: \(entry.reason); the next deployment ends that",
      executed: .no)
  }

  /// Those that are there, in the order of their names.
  package var entries: [Entry] {
    isEmpty
      ? [] : state.withLock { $0.entries.values.sorted { "\($0.signature)" < "\($1.signature)" } }
  }

  /// All may be called again, and nothing is held against them; those that could not.
  package func lift() -> [Entry] {
    state.withLock { state in
      let lifted = state.entries.values.sorted { "\($0.signature)" < "\($1.signature)" }
      state = State()
      count.store(0, ordering: .relaxed)
      return lifted
    }
  }

  /// `2026-05-01 12:00:03 UTC`
  private static func time(milliseconds: Int) -> String {
    var seconds = time_t(milliseconds / 1000)
    var parts = tm()
    gmtime_r(&seconds, &parts)
    func two(_ number: Int32) -> String { number < 10 ? "0\(number)" : "\(number)" }
    return "\(1900 + Int(parts.tm_year))-\(two(parts.tm_mon + 1))-\(two(parts.tm_mday)) "
      + "\(two(parts.tm_hour)):\(two(parts.tm_min)):\(two(parts.tm_sec)) UTC"
  }
}

extension Signature {
  /// `math.add(int, int)`, as the log has it.
  package var overloadText: String {
    "\(qualifiedName)(\(parameterTypes.map(\.description).joined(separator: ", ")))"
  }
}
