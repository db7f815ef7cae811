internal import RPCSystem

/// Takes the first of several answers; the others are dropped.
final class FirstAnswer<Value: Sendable>: Sendable {
  private enum State {
    case open
    case waiting(CheckedContinuation<Value, Never>)
    case answered(Value)
    case done
  }

  private let state = Lock(State.open)

  func answer(_ value: Value) {
    let waiter: CheckedContinuation<Value, Never>? = state.withLock { state in
      switch state {
      case .open:
        state = .answered(value)
        return nil
      case .waiting(let continuation):
        state = .done
        return continuation
      case .answered, .done: return nil
      }
    }
    waiter?.resume(returning: value)
  }

  /// The answer if it is there.
  var now: Value? {
    state.withLock { state in
      if case .answered(let value) = state { return value }
      return nil
    }
  }

  /// The first answer. To be asked once.
  func value() async -> Value {
    await withCheckedContinuation { continuation in
      let ready: Value? = state.withLock { state in
        if case .answered(let value) = state {
          state = .done
          return value
        }
        state = .waiting(continuation)
        return nil
      }
      if let ready { continuation.resume(returning: ready) }
    }
  }
}
