/// Pauses that grow, each with a random share so that many clients do not come back at once.
public struct Backoff: Sendable, Hashable {
  public var initial: Duration
  public var maximum: Duration
  public var multiplier: Double
  /// The share of a pause that chance may add or take, 0 to 1.
  public var jitter: Double

  public init(
    initial: Duration, maximum: Duration, multiplier: Double = 1.6, jitter: Double = 0.2
  ) {
    self.initial = initial
    self.maximum = maximum
    self.multiplier = multiplier
    self.jitter = jitter
  }

  /// The pause before a repetition, in nanoseconds.
  ///
  /// - Parameters:
  ///   - retry: which repetition it is; 1 is the first.
  ///   - chance: a number in 0..<1.
  package func nanoseconds(retry: Int, chance: Double) -> UInt64 {
    let longest = Double(maximum.nanoseconds)
    var pause = Double(initial.nanoseconds)
    for _ in 1..<max(1, min(retry, 64)) where pause < longest { pause *= max(1, multiplier) }
    pause = min(pause, longest)
    return UInt64(pause * (1 + min(max(jitter, 0), 1) * (2 * chance - 1)))
  }
}

extension Duration {
  /// Whole nanoseconds, none for a negative duration, bounded by a year.
  internal var nanoseconds: UInt64 {
    let (seconds, attoseconds) = components
    guard seconds >= 0, attoseconds >= 0 else { return 0 }
    let longest = ClientLimits.deadlineNanosecondsMax
    guard seconds < Int64(longest / 1_000_000_000) else { return longest }
    return UInt64(seconds) * 1_000_000_000 + UInt64(attoseconds / 1_000_000_000)
  }
}
