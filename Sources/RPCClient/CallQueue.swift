internal import DequeModule

/// Calls in the order they came.
internal struct CallQueue {
  private var calls: Deque<Call> = []

  internal var isEmpty: Bool { calls.isEmpty }
  internal var count: Int { calls.count }
  internal var elements: [Call] { Array(calls) }

  internal mutating func append(_ call: Call) { calls.append(call) }

  internal mutating func popFirst() -> Call? { calls.popFirst() }

  /// Takes out the calls for which `isTaken` is true, in their order.
  internal mutating func take(where isTaken: (Call) -> Bool = { _ in true }) -> [Call] {
    let taken = calls.filter(isTaken)
    if !taken.isEmpty { calls.removeAll(where: isTaken) }
    return Array(taken)
  }
}
