/// Somebody a timer calls.
package protocol TimerTarget: AnyObject {
  /// `tag` is what the target gave to `schedule`: it tells one target's timers apart.
  func timerFired(tag: UInt64, on loop: EventLoop)
}

/// Names a scheduled timer; cancelling one that has fired does nothing.
package struct TimerID: Hashable, Sendable {
  internal var slot: Int32
  internal var generation: UInt32
}

/// A hierarchical timing wheel (Varghese and Lauck, 1987) with ticks of one millisecond: scheduling,
/// cancelling and firing cost the same with ten timers as with a million. Timers fire never early, and up to a
/// tick late. Four wheels of 256 slots reach 49 days, the longest delay there is.
internal struct TimerQueue {
  private struct Node {
    var tick: UInt64 = 0
    var previous: Int32 = -1
    var next: Int32 = -1
    /// The slot's list this node is in; -1 when it is free.
    var list: Int32 = -1
    var generation: UInt32 = 0
    var tag: UInt64 = 0
    var target: (any TimerTarget)?
  }

  private static let slots = 256
  private static let levels = 4
  static let tickNanoseconds: UInt64 = 1_000_000
  /// After so many ticks at most, `current` is brought up to date, with timers or without.
  private static let lagMax: UInt64 = 1 << 24
  /// The longest delay from `current`, in ticks, so that a timer stays within one turn of the widest wheel.
  static let ticksMax = UInt64(UInt32.max) - lagMax

  private var nodes: ContiguousArray<Node> = []
  private var freeNodes: ContiguousArray<Int32> = []
  /// The first node of each slot's list, by level and slot.
  private var heads = ContiguousArray<Int32>(repeating: -1, count: slots * levels)
  /// One bit a slot, so that the next one in use is found without walking.
  private var occupied = ContiguousArray<UInt64>(repeating: 0, count: slots * levels / 64)
  /// The tick up to which everything has fired; it may lag behind the clock while nothing was due.
  private var current: UInt64
  /// No tick before this one matters: neither has it timers, nor does an upper wheel turn at it. It may be
  /// early, since a cancelled timer does not move it; then one look finds the next.
  private var earliest: UInt64
  private(set) var count = 0

  init(now: UInt64) {
    current = now / Self.tickNanoseconds
    earliest = current
  }

  mutating func schedule(at deadline: UInt64, target: any TimerTarget, tag: UInt64) -> TimerID {
    let wanted = (deadline &+ Self.tickNanoseconds - 1) / Self.tickNanoseconds
    let tick = min(max(wanted, current + 1), current + Self.ticksMax)
    let slot: Int32
    if let free = freeNodes.popLast() {
      slot = free
    } else {
      slot = Int32(nodes.count)
      nodes.append(Node())
    }
    nodes[Int(slot)].tick = tick
    nodes[Int(slot)].tag = tag
    nodes[Int(slot)].target = target
    insert(slot)
    earliest = min(earliest, tick)
    count += 1
    return TimerID(slot: slot, generation: nodes[Int(slot)].generation)
  }

  mutating func cancel(_ id: TimerID) {
    let slot = Int(id.slot)
    guard slot < nodes.count, nodes[slot].generation == id.generation, nodes[slot].list >= 0 else { return }
    unlink(id.slot)
    release(id.slot)
  }

  /// When the next timer can be due, on the clock of `now`, and never later than it is due; the end of time with none.
  var next: UInt64 { count > 0 ? earliest * Self.tickNanoseconds : .max }

  /// Takes the timers that are due at `now`, one call after the other, until it returns nil.
  @inline(__always)
  mutating func nextDue(now: UInt64) -> (target: any TimerTarget, tag: UInt64)? {
    now < earliest &* Self.tickNanoseconds ? nil : search(until: now / Self.tickNanoseconds)
  }

  private mutating func search(until goal: UInt64) -> (target: any TimerTarget, tag: UInt64)? {
    while true {
      let head = heads[Int(current & 255)]
      if head >= 0, nodes[Int(head)].tick <= goal {
        unlink(head)
        let tag = nodes[Int(head)].tag
        guard let target = nodes[Int(head)].target else {
          preconditionFailure("a scheduled timer has a target")
        }
        release(head)
        return (target, tag)
      }
      if current >= goal { break }
      if count == 0 {
        current = goal
        break
      }
      advance(to: goal)
    }
    earliest = nextTick()
    return nil
  }

  /// The next tick at which a slot of some wheel comes up that is in use.
  private func nextTick() -> UInt64 {
    var next = current + Self.lagMax
    guard count > 0 else { return next }
    for level in 0..<Self.levels {
      let shift = UInt64(level * 8)
      let position = Int((current >> shift) & 255)
      // The slots behind the position, in the order in which they come up.
      guard let distance = distanceToOccupied(level: level, after: position) else { continue }
      next = min(next, ((current >> shift) + UInt64(distance)) << shift)
    }
    return next
  }

  /// Moves to the next tick that matters: one with timers, or one at which an upper wheel turns.
  private mutating func advance(to goal: UInt64) {
    current = min(goal, nextTick())
    guard current & 255 == 0 else { return }
    for level in 1..<Self.levels {
      let position = Int((current >> UInt64(level * 8)) & 255)
      cascade(level: level, position: position)
      if position != 0 { break }
    }
  }

  /// Sorts the timers of an upper wheel's slot into the wheels below.
  private mutating func cascade(level: Int, position: Int) {
    let list = level * Self.slots + position
    var node = heads[list]
    heads[list] = -1
    occupied[list / 64] &= ~(1 << UInt64(list % 64))
    while node >= 0 {
      let next = nodes[Int(node)].next
      insert(node)
      node = next
    }
  }

  private mutating func insert(_ slot: Int32) {
    let tick = nodes[Int(slot)].tick
    let distance = tick - current
    let level = distance < 256 ? 0 : distance < 65_536 ? 1 : distance < 16_777_216 ? 2 : 3
    let list = level * Self.slots + Int((tick >> UInt64(level * 8)) & 255)
    let head = heads[list]
    nodes[Int(slot)].list = Int32(list)
    nodes[Int(slot)].previous = -1
    nodes[Int(slot)].next = head
    if head >= 0 { nodes[Int(head)].previous = slot }
    heads[list] = slot
    occupied[list / 64] |= 1 << UInt64(list % 64)
  }

  private mutating func unlink(_ slot: Int32) {
    let node = nodes[Int(slot)]
    if node.previous >= 0 {
      nodes[Int(node.previous)].next = node.next
    } else {
      heads[Int(node.list)] = node.next
      if node.next < 0 { occupied[Int(node.list) / 64] &= ~(1 << UInt64(node.list % 64)) }
    }
    if node.next >= 0 { nodes[Int(node.next)].previous = node.previous }
    nodes[Int(slot)].list = -1
  }

  private mutating func release(_ slot: Int32) {
    nodes[Int(slot)].target = nil
    nodes[Int(slot)].generation &+= 1
    freeNodes.append(slot)
    count -= 1
  }

  /// How many slots behind `position` the next occupied one of a wheel is, going round; 1...256.
  private func distanceToOccupied(level: Int, after position: Int) -> Int? {
    let base = level * Self.slots / 64
    for step in 0...4 {
      // Whole words, beginning in the one that holds the slot behind `position`.
      let first = (position + 1 + step * 64) & 255
      let word = first / 64
      let bit = step == 0 ? first % 64 : 0
      let bits = occupied[base + word] & (~0 << UInt64(bit))
      if bits != 0 {
        let slot = word * 64 + bits.trailingZeroBitCount
        let distance = (slot - position + 256) & 255
        return distance == 0 ? 256 : distance
      }
    }
    return nil
  }
}
