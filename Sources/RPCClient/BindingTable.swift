internal import RPCWire

/// What one connection knows of procedures' ids. By the index of a `BindingKey`; no lookup on the way of a
/// call.
internal struct BindingTable {
  internal enum State {
    case unbound
    case binding
    case bound(id: UInt32, isIdempotent: Bool)
  }

  private struct Slot {
    var serial: UInt64 = 0
    var state = State.unbound
    /// Wait for the BOUND.
    var waiting: [Call] = []
  }

  private var slots: ContiguousArray<Slot> = []
  /// The BINDs on the wire: call id to index.
  private var inFlight: [UInt64: Int] = [:]
  internal private(set) var waitingCount = 0

  internal func state(of key: BindingKey) -> State {
    guard key.index < slots.count, slots[key.index].serial == key.serial else { return .unbound }
    return slots[key.index].state
  }

  internal mutating func begin(_ key: BindingKey, callID: UInt64) {
    while slots.count <= key.index { slots.append(Slot()) }
    slots[key.index] = Slot(serial: key.serial, state: .binding)
    inFlight[callID] = key.index
  }

  internal mutating func wait(_ call: Call) {
    slots[call.route.binding.index].waiting.append(call)
    waitingCount += 1
  }

  /// The calls that waited for this BIND, or nil when there was none.
  internal mutating func succeeded(_ callID: UInt64, _ bound: Bound) -> [Call]? {
    finish(callID, .bound(id: bound.procedureID, isIdempotent: bound.idempotent))
  }

  internal mutating func failed(_ callID: UInt64) -> [Call]? {
    finish(callID, .unbound)
  }

  private mutating func finish(_ callID: UInt64, _ state: State) -> [Call]? {
    guard let index = inFlight.removeValue(forKey: callID) else { return nil }
    slots[index].state = state
    let calls = slots[index].waiting
    slots[index].waiting = []
    waitingCount -= calls.count
    return calls
  }

  /// A new generation: every id may belong to an older one. BINDs on the wire are answered by the new one.
  internal mutating func forgetAll() {
    for index in slots.indices {
      if case .bound = slots[index].state { slots[index].state = .unbound }
    }
  }

  /// One id turned out to be stale.
  internal mutating func forget(_ key: BindingKey) {
    if case .bound = state(of: key) { slots[key.index].state = .unbound }
  }

  internal mutating func removeAllWaiting() -> [Call] {
    var calls: [Call] = []
    for index in slots.indices {
      calls += slots[index].waiting
      slots[index].waiting = []
    }
    waitingCount = 0
    return calls
  }
}

/// Calls in the order they came.
internal struct CallQueue {
  private var calls: [Call] = []
  private var head = 0

  internal var isEmpty: Bool { head == calls.count }
  internal var count: Int { calls.count - head }

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
}
