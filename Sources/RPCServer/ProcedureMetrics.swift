internal import RPCWire

/// What one loop counts of one procedure. What only some procedures have is kept from when they have it.
internal struct ProcedureMetrics: Sendable {
  var calls: UInt64 = 0
  /// Time spent, where it is measured: calls of closures on the loop are too short to.
  private(set) var nanoseconds: UInt64 = 0
  /// How many ended with each code; empty before the first error.
  private(set) var errorsByCode: ContiguousArray<UInt64> = []
  /// How many took at most so long, each counted once, the last one those that took longer; empty before the first.
  private(set) var durations: ContiguousArray<UInt64> = []

  /// Up to where the durations are told apart, in nanoseconds.
  static let durationBounds: [UInt64] = [
    100_000, 500_000, 1_000_000, 5_000_000, 10_000_000, 50_000_000, 100_000_000, 500_000_000, 1_000_000_000,
    5_000_000_000, 30_000_000_000,
  ]

  var errors: UInt64 { errorsByCode.reduce(0, &+) }

  mutating func countError(_ code: StatusCode) {
    if errorsByCode.isEmpty { errorsByCode = ContiguousArray(repeating: 0, count: StatusCode.allCases.count) }
    errorsByCode[Int(code.rawValue)] &+= 1
  }

  mutating func countDuration(_ nanoseconds: UInt64) {
    self.nanoseconds &+= nanoseconds
    if durations.isEmpty { durations = ContiguousArray(repeating: 0, count: Self.durationBounds.count + 1) }
    let bucket = Self.durationBounds.firstIndex { nanoseconds <= $0 } ?? Self.durationBounds.count
    durations[bucket] &+= 1
  }

  static func + (left: ProcedureMetrics, right: ProcedureMetrics) -> ProcedureMetrics {
    var sum = left
    sum.calls &+= right.calls
    sum.nanoseconds &+= right.nanoseconds
    sum.errorsByCode = Self.sum(left.errorsByCode, right.errorsByCode)
    sum.durations = Self.sum(left.durations, right.durations)
    return sum
  }

  private static func sum(
    _ left: ContiguousArray<UInt64>, _ right: ContiguousArray<UInt64>
  ) -> ContiguousArray<UInt64> {
    if left.isEmpty { return right }
    if right.isEmpty { return left }
    return ContiguousArray(zip(left, right).map { $0 &+ $1 })
  }
}
