/// Calls in the order they came.
internal struct CallQueue {
  private var calls: [Call] = []
  private var head = 0

  internal var isEmpty: Bool { head == calls.count }
  internal var count: Int { calls.count - head }
  internal var elements: ArraySlice<Call> { calls[head...] }

  internal mutating func append(_ call: Call) { calls.append(call) }

  internal mutating func popFirst() -> Call? {
    guard head < calls.count else { return nil }
    let call = calls[head]
    head += 1
    // Moved to the front once half is used up, so that each call is moved once on average.
    if head >= 64, head * 2 >= calls.count {
      calls.removeFirst(head)
      head = 0
    } else if head == calls.count {
      calls.removeAll(keepingCapacity: true)
      head = 0
    }
    return call
  }

  /// Takes out the calls for which `isTaken` is true, in their order.
  internal mutating func take(where isTaken: (Call) -> Bool = { _ in true }) -> [Call] {
    let taken = elements.filter(isTaken)
    if !taken.isEmpty {
      calls = elements.filter { !isTaken($0) }
      head = 0
    }
    return taken
  }
}
