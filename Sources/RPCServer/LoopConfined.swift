internal import RPCSystem
internal import RPCTransport

/// A reference that may travel between threads and be used on one loop only: so work posted to a loop's
/// mailbox can name the objects that live there.
///
/// `@unchecked Sendable`: the value is reached through `on(_:)` alone, which traps anywhere but on the loop
/// that owns it; carrying the reference elsewhere only counts references, which is atomic.
internal final class LoopConfined<Value>: @unchecked Sendable {
  private let value: Value
  private let owner: ObjectIdentifier

  init(_ value: Value, to loop: EventLoop) {
    self.value = value
    owner = ObjectIdentifier(loop)
  }

  func on(_ loop: EventLoop) -> Value {
    precondition(ObjectIdentifier(loop) == owner, "used on another loop than its own")
    return value
  }
}

/// Hands one value from the thread that makes it to the one that takes it.
///
/// `@unchecked Sendable`: the value is put once and taken once, each under the lock.
internal final class TransferBox<Value>: @unchecked Sendable {
  private let lock = Lock(())
  private var value: Value?

  func put(_ value: sending Value) {
    lock.withLock { _ in self.value = value }
  }

  /// Traps where nothing was put: the giver goes first.
  func take() -> sending Value {
    nonisolated(unsafe) var taken: Value?
    lock.withLock { _ in
      taken = value
      value = nil
    }
    guard let taken else { preconditionFailure("taken before it was put") }
    return taken
  }
}
