internal import RPCProcedures

/// Executions that the log has not told of yet: those of one procedure by one caller are counted together while
/// a moment lasts. In the order in which they began, so that the log's lines are in the order of their times.
internal struct ExecutionRuns {
  struct Run {
    /// The line but for its time and count, as the caller was named when the run began.
    let text: [UInt8]
    /// The time of the first, in nanoseconds since 1970.
    let began: Int64
    var count: UInt64
  }

  /// How long a moment lasts; 0 where each execution is told by itself.
  let momentNanoseconds: UInt64
  private(set) var runs: ContiguousArray<Run> = []
  /// The present moment's number: where a caller's run is holds for one moment only.
  private var moment: UInt64 = 1
  /// When it ends, on the loop's clock.
  private var end: UInt64 = 0

  init(momentNanoseconds: UInt64) { self.momentNanoseconds = momentNanoseconds }

  var isEmpty: Bool { runs.isEmpty }
  /// Whether executions are counted together at all.
  var areCounted: Bool { momentNanoseconds > 0 }

  /// Whether the next execution belongs to another moment.
  func isOver(at now: UInt64) -> Bool {
    now >= end || runs.count >= LogLimits.runsMax
  }

  /// Counts executions with those before them; false where there are none.
  @inline(__always)
  mutating func add(_ procedure: BoundProcedure, _ caller: Caller, _ count: UInt64, at now: UInt64) -> Bool {
    guard caller.runMoment == moment, now < end, caller.lastExecuted === procedure else { return false }
    runs[caller.run].count &+= count
    return true
  }

  /// Begins a run of the procedure that `caller` executed last.
  mutating func begin(_ caller: Caller, _ count: UInt64, at now: UInt64, began: Int64) {
    if runs.isEmpty { end = now &+ momentNanoseconds }
    caller.run = runs.count
    caller.runMoment = moment
    runs.append(Run(text: caller.executedText, began: began, count: count))
  }

  mutating func removeAll() {
    runs.removeAll(keepingCapacity: true)
    moment &+= 1
  }
}
