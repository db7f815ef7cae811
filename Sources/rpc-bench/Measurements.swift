import Histogram
internal import RPCSystem
import RPCWire

/// What was seen of the calls: latencies in nanoseconds, and failures by their exception.
struct Measurements: Sendable {
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

  mutating func add(_ other: Measurements) {
    latencies.add(other.latencies)
    failures.merge(other.failures, uniquingKeysWith: +)
  }
}

/// Measurements that several lanes share.
final class Recorder: Sendable {
  private let measurements = Lock(Measurements())
  private let control: LoadControl

  init(control: LoadControl) {
    self.control = control
  }

  func succeeded(start: UInt64, end: UInt64 = Clock.now()) {
    guard control.counts(start: start, end: end) else { return }
    measurements.withLock { $0.record(end > start ? end - start : 0) }
  }

  func failed(_ error: RPCError, start: UInt64, end: UInt64 = Clock.now()) {
    guard control.counts(start: start, end: end) else { return }
    measurements.withLock { $0.record(error) }
  }

  func record(_ result: Result<some Any, RPCError>, start: UInt64, end: UInt64) {
    switch result {
    case .success: succeeded(start: start, end: end)
    case .failure(let error): failed(error, start: start, end: end)
    }
  }

  var value: Measurements { measurements.withLock { $0 } }
}
