import Glibc
import RPCTransport
import Synchronization

/// Where the run stands, for every lane to see. A lane asks `next` before each call and ends when it gets nil.
final class LoadControl: Sendable {
  enum Phase: Int {
    case warming, measuring, ending
  }

  private let current = Atomic<Int>(Phase.warming.rawValue)
  /// Calls that may still be started; counts down once a count is set.
  private let remaining = Atomic<Int>(.max)
  private let sequence = Atomic<Int>(0)
  /// When the measuring began and ended, 0 before.
  private let began = Atomic<UInt64>(0)
  private let ended = Atomic<UInt64>(0)
  private let paceStart: UInt64
  /// Nanoseconds between two calls of the open loop, nil in the closed one.
  private let interval: Double?

  init(rate: Double?) {
    interval = rate.map { 1e9 / $0 }
    paceStart = Clock.now()
  }

  var isPaced: Bool { interval != nil }
  var phase: Phase { Phase(rawValue: current.load(ordering: .relaxed)) ?? .ending }

  /// When the next call is due: now in the closed loop. Nil when no more are to be started.
  func next(now: UInt64) -> UInt64? {
    guard take() else { return nil }
    guard let interval else { return now }
    let ticket = sequence.wrappingAdd(1, ordering: .relaxed).oldValue
    return paceStart + UInt64(Double(ticket) * interval)
  }

  /// As `next`, for one thread that paces all calls: nil also while none is due.
  func nextDue(now: UInt64) -> UInt64? {
    guard let interval else { return nil }
    let due = paceStart + UInt64(Double(sequence.load(ordering: .relaxed)) * interval)
    guard due <= now, take() else { return nil }
    sequence.wrappingAdd(1, ordering: .relaxed)
    return due
  }

  private func take() -> Bool {
    guard current.load(ordering: .relaxed) != Phase.ending.rawValue else { return false }
    guard remaining.load(ordering: .relaxed) != .max else { return true }
    return remaining.wrappingSubtract(1, ordering: .relaxed).oldValue > 0
  }

  /// Whether every call that was to be started has been.
  var isExhausted: Bool { phase == .ending || remaining.load(ordering: .relaxed) <= 0 }

  /// Whether a call that was due, or began, at `start` and ended at `end` belongs to what is measured. In
  /// the open loop a late answer counts too: leaving it out would hide the worst. Where calls are counted,
  /// those count that were started as such.
  func counts(start: UInt64, end: UInt64) -> Bool {
    let began = began.load(ordering: .relaxed)
    let ended = ended.load(ordering: .relaxed)
    guard began > 0 else { return false }
    if isPaced || remaining.load(ordering: .relaxed) != .max {
      return start >= began && (ended == 0 || start < ended)
    }
    return end >= began && (ended == 0 || end < ended)
  }

  func beginMeasuring(count: Int?) -> UInt64 {
    if let count { remaining.store(count, ordering: .relaxed) }
    let now = Clock.now()
    began.store(now, ordering: .relaxed)
    current.store(Phase.measuring.rawValue, ordering: .relaxed)
    return now
  }

  func end() -> UInt64 {
    let now = Clock.now()
    ended.store(now, ordering: .relaxed)
    current.store(Phase.ending.rawValue, ordering: .relaxed)
    return now
  }
}

/// The monotonic clock.
enum Clock {
  static func now() -> UInt64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
  }

  /// Blocks the thread until `time`.
  static func sleep(until time: UInt64) {
    var time = timespec(tv_sec: Int(time / 1_000_000_000), tv_nsec: Int(time % 1_000_000_000))
    while clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &time, nil) == EINTR {}
  }
}
