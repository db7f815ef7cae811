import Histogram
internal import RPCTransport
import RPCWire

/// What was seen of the calls: latencies in nanoseconds, and failures by their exception.
struct Tally: Sendable {
  /// Three digits from 100 ns to an hour.
  private(set) var latencies = Histogram<UInt64>(
    lowestDiscernibleValue: 64, highestTrackableValue: 3_600_000_000_000,
    numberOfSignificantValueDigits: .three)
  private(set) var failures: [RPCError: Int] = [:]

  var succeeded: UInt64 { latencies.totalCount }
  var failed: Int { failures.values.reduce(0, +) }

  mutating func record(_ nanoseconds: UInt64) {
    latencies.record(nanoseconds)
  }

  mutating func record(_ error: RPCError) {
    // A failure's message may differ from call to call; a handful tells enough.
    if failures.count < 16 || failures[error] != nil { failures[error, default: 0] += 1 }
  }

  mutating func add(_ other: Tally) {
    latencies.add(other.latencies)
    failures.merge(other.failures, uniquingKeysWith: +)
  }
}

/// A tally that several lanes share.
final class Recorder: Sendable {
  private let tally = Lock(Tally())
  private let stage: Stage

  init(stage: Stage) {
    self.stage = stage
  }

  func succeeded(start: UInt64, end: UInt64 = Clock.now()) {
    guard stage.counts(start: start, end: end) else { return }
    tally.withLock { $0.record(end > start ? end - start : 0) }
  }

  func failed(_ error: RPCError, start: UInt64, end: UInt64 = Clock.now()) {
    guard stage.counts(start: start, end: end) else { return }
    tally.withLock { $0.record(error) }
  }

  func record(_ result: Result<some Any, RPCError>, start: UInt64, end: UInt64) {
    switch result {
    case .success: succeeded(start: start, end: end)
    case .failure(let error): failed(error, start: start, end: end)
    }
  }

  var value: Tally { tally.withLock { $0 } }
}
