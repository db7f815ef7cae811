internal import RPCProcedures

/// Executions that are not in the log yet: those of one procedure by one caller within a time window are counted
/// together. In the order in which they began, so that the log's lines are in the order of their times.
internal struct ExecutionRuns {
  struct Run {
    /// The line but for its time and count, as the caller was named when the run began.
    let text: [UInt8]
    /// The time of the first, in nanoseconds since 1970.
    let began: Int64
    var count: UInt64
  }

  /// The length of a window; 0 where each execution is logged by itself.
  let windowNanoseconds: UInt64
  private(set) var runs: ContiguousArray<Run> = []
  /// The number of the present window: a caller's index of its run is valid in that window only.
  private var window: UInt64 = 1
  /// When it ends, on the loop's clock.
  private var end: UInt64 = 0

  init(windowNanoseconds: UInt64) { self.windowNanoseconds = windowNanoseconds }

  var isEmpty: Bool { runs.isEmpty }
  /// Whether executions are counted together at all.
  var areCounted: Bool { windowNanoseconds > 0 }

  /// Whether the next execution belongs to another window.
  func isOver(at now: UInt64) -> Bool {
    now >= end || runs.count >= LogLimits.runsMax
  }

  /// Counts executions with those before them; false where there are none.
  @inline(__always)
  mutating func add(_ procedure: BoundProcedure, _ caller: Caller, _ count: UInt64, at now: UInt64) -> Bool {
    guard caller.runWindow == window, now < end, caller.lastExecuted === procedure else { return false }
    runs[caller.run].count &+= count
    return true
  }

  /// Begins a run of the procedure that `caller` executed last.
  mutating func begin(_ caller: Caller, _ count: UInt64, at now: UInt64, began: Int64) {
    if runs.isEmpty { end = now &+ windowNanoseconds }
    caller.run = runs.count
    caller.runWindow = window
    runs.append(Run(text: caller.executedText, began: began, count: count))
  }

  mutating func removeAll() {
    runs.removeAll(keepingCapacity: true)
    window &+= 1
  }
}
