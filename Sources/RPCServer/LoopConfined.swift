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
