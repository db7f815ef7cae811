import Histogram
import RPCClient
internal import RPCSystem
internal import RPCTransport
import RPCWire

/// Calls one procedure over and over and measures how long each call takes from when it should have begun. Two ways:
/// closed, a fixed number of calls in flight at all times; open, so many calls begun per second whatever the answers
/// do.
final class LoadRun: Sendable {
  struct Options: Hashable, Sendable {
    /// Calls in flight at once.
    var outstanding = 1
    /// Calls begun per second; nil begins one when another ends.
    var rate: Double?
    /// Ends after so many calls, or so long, whichever comes first.
    var count: Int?
    var duration: Duration = .seconds(5)
  }

  private struct State {
    var histogram = Histogram<UInt64>(numberOfSignificantValueDigits: .three)
    var started = 0
    var finished = 0
    var errors = 0
    var firstError: RPCError?
    var inFlight = 0
    /// No further call is begun.
    var isStopping = false
    /// What is in flight has been cancelled, and is not a measurement.
    var isCancelled = false
    /// Calls that may be begun, since others have ended; one thread at a time begins them.
    var turns = 0
    var isBeginning = false
    var handles: [Int: any CallCancellation] = [:]
    /// Calls that ended before their handle was there.
    var ended: Set<Int> = []
    var waiter: CheckedContinuation<Void, Never>?
  }

  private let backend: any ShellBackend
  private let request: CallRequest
  private let options: Options
  private let state = Lock(State())
  private let clock = ContinuousClock()
  private let begun: ContinuousClock.Instant

  init(_ backend: any ShellBackend, _ request: CallRequest, _ options: Options) {
    self.backend = backend
    self.request = request
    self.options = options
    begun = clock.now
  }

  /// Runs to the end, or until the task is cancelled; what was measured until then is good either way.
  func run(progress: @escaping @Sendable (LoadReport) -> Void) async -> LoadReport {
    let ticker = Task {
      while (try? await Task.sleep(for: .milliseconds(250))) != nil { progress(report()) }
    }
    let timer = Task {
      guard (try? await Task.sleep(for: options.duration)) != nil else { return }
      stop()
      // A procedure that never answers must not keep the run from ending.
      guard (try? await Task.sleep(for: ShellLimits.lastAnswersWait)) != nil else { return }
      cancelAll()
    }
    await withTaskCancellationHandler {
      if let rate = options.rate { await openLoop(rate) } else { closedLoop() }
      await drain()
    } onCancel: {
      stop()
      // Ctrl-C asks for the report, not the rest of a slow call.
      cancelAll()
    }
    ticker.cancel()
    timer.cancel()
    return report()
  }

  // MARK: Beginning calls

  private func closedLoop() { begin(options.outstanding) }

  /// Begins as many calls as have a turn. A call that ends at once gives the next its turn from within this loop:
  /// nothing calls itself.
  private func begin(_ count: Int) {
    let isOurs = state.withLock { state in
      state.turns += count
      if state.isBeginning { return false }
      state.isBeginning = true
      return true
    }
    guard isOurs else { return }
    let end = begun + options.duration
    while true {
      let now = clock.now
      // Calls that end at once may keep every thread that could run the timer.
      if now >= end { stop() }
      guard let number = takeTurn() else { return }
      start(number, due: now)
    }
  }

  private func takeTurn() -> Int? {
    state.withLock { state in
      while state.turns > 0 {
        state.turns -= 1
        if let number = admit(&state) { return number }
      }
      state.isBeginning = false
      return nil
    }
  }

  /// Each call has its own due time; a late one counts from then.
  private func openLoop(_ rate: Double) async {
    let interval = 1e9 / rate
    let end = begun + options.duration
    var sequence = 0
    while true {
      let due = begun + .nanoseconds(Int64(Double(sequence) * interval))
      if due > clock.now {
        if state.withLock({ $0.isStopping }) { return }
        // Sleeps end late; what became due meanwhile is begun at once. The next call may be due after the end.
        guard (try? await Task.sleep(until: min(due, end), clock: clock)) != nil, due < end else {
          return stop()
        }
      }
      guard let number = state.withLock({ admit(&$0) }) else { return }
      start(number, due: due)
      sequence += 1
      if sequence % 64 == 0 { await Task.yield() }
    }
  }

  /// The number of a new call, nil once no more are to be begun.
  private func admit(_ state: inout State) -> Int? {
    guard !state.isStopping else { return nil }
    state.started += 1
    state.inFlight += 1
    // With the last one the run is stopping: its answer ends it.
    if let count = options.count, state.started >= count { state.isStopping = true }
    return state.started
  }

  private func start(_ number: Int, due: ContinuousClock.Instant) {
    let handle = backend.start(request) { [self] result in
      finished(number, result, clock.now - due)
      if options.rate == nil { begin(1) }
    }
    let isTooLate = state.withLock { state in
      // The answer may have been quicker.
      guard state.ended.remove(number) == nil else { return false }
      state.handles[number] = handle
      return state.isCancelled
    }
    if isTooLate { handle.cancel() }
  }

  private func finished(_ number: Int, _ result: Result<CallResult, RPCError>, _ elapsed: Duration) {
    let waiter = state.withLock { state -> CheckedContinuation<Void, Never>? in
      if state.handles.removeValue(forKey: number) == nil { state.ended.insert(number) }
      state.inFlight -= 1
      if case .failure(let error) = result {
        // Those that were given up at the end are not measured.
        if error.exception == .cancelled, state.isCancelled {
          return state.inFlight == 0 ? state.waiter.take() : nil
        }
        state.errors += 1
        if state.firstError == nil { state.firstError = error }
      }
      state.finished += 1
      _ = state.histogram.record(UInt64(max(1, elapsed.nanoseconds)))
      guard state.inFlight == 0, state.isStopping else { return nil }
      return state.waiter.take()
    }
    waiter?.resume()
  }

  // MARK: Ending

  private func stop() {
    let waiter = state.withLock { state -> CheckedContinuation<Void, Never>? in
      state.isStopping = true
      return state.inFlight == 0 ? state.waiter.take() : nil
    }
    waiter?.resume()
  }

  private func cancelAll() {
    let handles = state.withLock { state in
      state.isCancelled = true
      return Array(state.handles.values)
    }
    for handle in handles { handle.cancel() }
  }

  private func drain() async {
    await withCheckedContinuation { continuation in
      let isDone = state.withLock { state in
        if state.isStopping, state.inFlight == 0 { return true }
        state.waiter = continuation
        return false
      }
      if isDone { continuation.resume() }
    }
  }

  private func report() -> LoadReport {
    let elapsed = clock.now - begun
    return state.withLock { state in
      LoadReport(
        options: options, calls: state.finished, errors: state.errors, firstError: state.firstError,
        elapsed: elapsed,
        measured: state.histogram)
    }
  }
}
