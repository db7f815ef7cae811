import RPCClient
import RPCWire

/// Calls of a script in flight together, answers told in the order of the lines. Answers come on the client's
/// thread, which is never held up: they are rendered and written by a thread of this pipeline's own.
final class CallPipeline: Sendable {
  /// Where a call stands in its script.
  struct Origin: Sendable {
    var plan: CallPlan
    var line: CommandLine
    var number: Int
    var started: ContinuousClock.Instant
  }

  private struct State {
    var queue = AnswerQueue<Origin, Result<CallResult, RPCError>>()
    /// What cancels the calls that are in flight, by sequence number.
    var handles: [Int: any CallCancellation] = [:]
    var isPrinterWaiting = false
    var isClosed = false
    var isCancelled = false
    /// Calls that were cancelled with everything else: not worth a line each.
    var givenUp = 0
    /// Who waits, and until how few calls are in flight.
    var waiter: (CheckedContinuation<Void, Never>, inFlight: Int)?
    /// Taken by the printer, but not written yet.
    var printing = 0

    var inFlight: Int { queue.count + printing }
  }

  private let state = Monitor(State())
  private let backend: any ShellBackend
  /// Tells one answer: in order, one at a time.
  private let tell: @Sendable (Origin, Result<CallResult, RPCError>) -> Void
  /// Everything that was there has been told: what is buffered should leave.
  private let idle: @Sendable () -> Void

  init(
    backend: any ShellBackend, tell: @escaping @Sendable (Origin, Result<CallResult, RPCError>) -> Void,
    idle: @escaping @Sendable () -> Void
  ) {
    self.backend = backend
    self.tell = tell
    self.idle = idle
    Blocking.start { [self] in print() }
  }

  /// Sends a call, once fewer than `limit` are in flight.
  func submit(_ origin: Origin, limit: Int) async {
    if state.withLock({ $0.inFlight }) >= limit { await wait(until: limit / 2) }
    let sequence = state.withLock { $0.queue.append(origin) }
    let handle = backend.start(origin.plan.request) { [self] result in answered(sequence, result) }
    let isCancelled = state.withLock { state in
      // The answer may have been quicker.
      if state.queue.isOpen(sequence) { state.handles[sequence] = handle }
      return state.isCancelled
    }
    if isCancelled { handle.cancel() }
  }

  /// Waits until every answer has been told.
  func drain() async { await wait(until: 0) }

  /// Gives up everything in flight.
  func cancel() {
    let handles = state.withLock { state in
      state.isCancelled = true
      return Array(state.handles.values)
    }
    for handle in handles { handle.cancel() }
  }

  /// Ends the printing thread. After `drain`.
  func close() {
    state.withLock { $0.isClosed = true }
    state.signal()
  }

  /// How many calls `cancel` has ended.
  var givenUp: Int { state.withLock { $0.givenUp } }

  private func isGivenUp(_ result: Result<CallResult, RPCError>) -> Bool {
    guard case .failure(let error) = result, error.exception == .cancelled else { return false }
    return state.withLock { state in
      if state.isCancelled { state.givenUp += 1 }
      return state.isCancelled
    }
  }

  private func wait(until inFlight: Int) async {
    await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        let isThere = state.withLock { state in
          if state.inFlight <= inFlight { return true }
          state.waiter = (continuation, inFlight)
          return false
        }
        if isThere { continuation.resume() }
      }
    } onCancel: {
      cancel()
    }
  }

  private func answered(_ sequence: Int, _ result: Result<CallResult, RPCError>) {
    let wakes = state.withLock { state in
      state.handles[sequence] = nil
      guard state.queue.answer(sequence, result), state.isPrinterWaiting, state.queue.isReady else {
        return false
      }
      state.isPrinterWaiting = false
      return true
    }
    if wakes { state.signal() }
  }

  /// The printing thread: takes what is ready at the head, all of it at once, and tells it.
  private func print() {
    while let batch = state.wait({ Self.take(&$0) }) {
      for (origin, result) in batch where !isGivenUp(result) { tell(origin, result) }
      let (waiter, isIdle) = state.withLock { state in
        state.printing = 0
        let isIdle = state.inFlight == 0
        guard let waiter = state.waiter, state.inFlight <= waiter.inFlight else {
          return (nil, isIdle) as (CheckedContinuation<Void, Never>?, Bool)
        }
        state.waiter = nil
        return (waiter.0, isIdle)
      }
      if isIdle || state.withLock({ !$0.queue.isReady }) { idle() }
      waiter?.resume()
    }
  }

  /// What is ready, nil inside when the pipeline has been closed, nil outside to wait on.
  private static func take(_ state: inout State) -> [(Origin, Result<CallResult, RPCError>)]?? {
    let batch = state.queue.takeReady()
    if batch.isEmpty {
      if state.isClosed { return .some(nil) }
      state.isPrinterWaiting = true
      return nil
    }
    state.printing = batch.count
    return .some(batch)
  }
}
