internal import RPCProcedures

/// One loop's counters at one time, or the sum of several.
internal struct LoopSnapshot: Sendable {
  var totals = LoopMetrics()
  var procedures: [ProcedureMetrics] = []
  /// Calls that were refused before it was known what they are of.
  var other = ProcedureMetrics()
  var loads: [Language: RuntimeLoad] = [:]
  /// What confines the workers, where there are any.
  var isolation: String?

  static func + (left: LoopSnapshot, right: LoopSnapshot) -> LoopSnapshot {
    var sum = LoopSnapshot(
      totals: left.totals + right.totals, procedures: left.procedures, other: left.other + right.other,
      loads: left.loads.merging(right.loads) { $0 + $1 },
      isolation: left.isolation ?? right.isolation)
    for (index, metrics) in right.procedures.enumerated() {
      if index < sum.procedures.count {
        sum.procedures[index] = sum.procedures[index] + metrics
      } else {
        sum.procedures.append(metrics)
      }
    }
    return sum
  }
}
