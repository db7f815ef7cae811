internal import RPCWire

/// What one connection knows of procedures' ids. By the index of a `BindingKey`; no lookup on the way of a
/// call.
internal struct BindingTable<Ticket: AnyObject> {
  internal enum State {
    case unbound
    case binding
    case bound(id: UInt32, isIdempotent: Bool)
  }

  private struct Slot {
    var serial: UInt64 = 0
    var state = State.unbound
    /// The calls that the BIND was sent for, and those that came while it was on its way.
    var first: [Ticket] = []
    var later: [Ticket] = []

    var waitingCount: Int { first.count + later.count }

    mutating func takeWaiting(where isTaken: (Ticket) -> Bool) -> [Ticket] {
      let taken = first.filter(isTaken) + later.filter(isTaken)
      first.removeAll(where: isTaken)
      later.removeAll(where: isTaken)
      return taken
    }
  }

  private var slots: ContiguousArray<Slot> = []
  /// The BINDs on the wire. An index alone would not do: its key may be gone, and another have it now.
  private var inFlight: [UInt64: (index: Int, serial: UInt64)] = [:]
  internal private(set) var waitingCount = 0

  internal var hasBindsInFlight: Bool { !inFlight.isEmpty }

  internal func state(of key: BindingKey) -> State {
    guard key.index < slots.count, slots[key.index].serial == key.serial else { return .unbound }
    return slots[key.index].state
  }

  /// A BIND is sent for calls of one binding.
  internal mutating func begin(_ key: BindingKey, _ tickets: [Ticket], callID: UInt64) {
    while slots.count <= key.index { slots.append(Slot()) }
    precondition(slots[key.index].waitingCount == 0, "calls keep the key that they wait for")
    slots[key.index] = Slot(serial: key.serial, state: .binding, first: tickets)
    inFlight[callID] = (key.index, key.serial)
    waitingCount += tickets.count
  }

  /// A call comes while its BIND is on its way.
  internal mutating func wait(_ ticket: Ticket, for key: BindingKey) {
    slots[key.index].later.append(ticket)
    waitingCount += 1
  }

  /// The calls that waited for this BIND, or nil when there was none.
  internal mutating func succeeded(_ callID: UInt64, _ bound: Bound) -> [Ticket]? {
    finish(callID, .bound(id: bound.procedureID, isIdempotent: bound.idempotent)).map { $0.first + $0.later }
  }

  /// The calls that this BIND was sent for, and those that came later and may have another answer; nil when there was
  /// no such BIND.
  internal mutating func failed(_ callID: UInt64) -> (first: [Ticket], later: [Ticket])? {
    finish(callID, .unbound)
  }

  private mutating func finish(_ callID: UInt64, _ state: State) -> (first: [Ticket], later: [Ticket])? {
    guard let (index, serial) = inFlight.removeValue(forKey: callID) else { return nil }
    guard slots[index].serial == serial else { return ([], []) }
    let slot = slots[index]
    slots[index] = Slot(serial: serial, state: state)
    waitingCount -= slot.waitingCount
    return (slot.first, slot.later)
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

  /// Takes out calls that wait; their BINDs stay on the wire.
  internal mutating func takeWaiting(where isTaken: (Ticket) -> Bool = { _ in true }) -> [Ticket] {
    guard waitingCount > 0 else { return [] }
    var calls: [Ticket] = []
    for index in slots.indices where slots[index].waitingCount > 0 {
      calls += slots[index].takeWaiting(where: isTaken)
    }
    waitingCount -= calls.count
    return calls
  }

  internal var waitingCalls: [Ticket] { slots.flatMap { $0.first + $0.later } }
}
