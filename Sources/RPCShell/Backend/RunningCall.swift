internal import RPCSystem

/// Brings together the cancelling of a task and the handle of its call, whichever is there first.
final class RunningCall: Sendable {
  private struct State {
    var handle: (any CallCancellation)?
    var isCancelled = false
  }

  private let state = Lock(State())

  func started(_ handle: any CallCancellation) {
    let isCancelled = state.withLock { state in
      state.handle = handle
      return state.isCancelled
    }
    if isCancelled { handle.cancel() }
  }

  func cancel() {
    let handle = state.withLock { state in
      state.isCancelled = true
      return state.handle
    }
    handle?.cancel()
  }
}
