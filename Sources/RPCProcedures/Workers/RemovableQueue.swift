/// A first-in, first-out queue from whose middle elements can be removed as well. Every operation but
/// `removeAll` takes constant time, and an element that was removed leaves nothing behind.
package struct RemovableQueue<Element> {
  /// Names an element that is in the queue. Once the element has left, its ticket removes nothing.
  package struct Ticket: Hashable, Sendable {
    fileprivate var slot: Int32
    fileprivate var serial: UInt64
  }

  private struct Node {
    var element: Element?
    var previous: Int32 = -1
    /// The next element, or the next free slot.
    var next: Int32 = -1
    /// The number of its element, unlike that of every other element that was ever in the queue.
    var serial: UInt64 = 0
  }

  /// Slots that an empty queue keeps.
  private static var keptSlots: Int { 1024 }

  private var nodes: ContiguousArray<Node> = []
  private var firstFree: Int32 = -1
  private var head: Int32 = -1
  private var tail: Int32 = -1
  private var lastSerial: UInt64 = 0
  package private(set) var count = 0

  package init() {}

  package var isEmpty: Bool { count == 0 }

  /// The element that has waited longest.
  package var first: Element? { head < 0 ? nil : nodes[Int(head)].element }

  @discardableResult
  package mutating func append(_ element: Element) -> Ticket {
    let slot: Int32
    if firstFree >= 0 {
      slot = firstFree
      firstFree = nodes[Int(slot)].next
    } else {
      slot = Int32(nodes.count)
      nodes.append(Node())
    }
    lastSerial += 1
    nodes[Int(slot)].serial = lastSerial
    nodes[Int(slot)].element = element
    nodes[Int(slot)].previous = tail
    nodes[Int(slot)].next = -1
    if tail >= 0 { nodes[Int(tail)].next = slot } else { head = slot }
    tail = slot
    count += 1
    return Ticket(slot: slot, serial: lastSerial)
  }

  /// Removes the first element that is `wanted`.
  package mutating func popFirst(where wanted: (Element) -> Bool) -> Element? {
    var slot = head
    while slot >= 0 {
      if let element = nodes[Int(slot)].element, wanted(element) { return removeSlot(slot) }
      slot = nodes[Int(slot)].next
    }
    return nil
  }

  package mutating func popFirst() -> Element? {
    head < 0 ? nil : removeSlot(head)
  }

  /// Removes the element that `ticket` names and returns it, or nil where it has left already.
  @discardableResult
  package mutating func remove(_ ticket: Ticket) -> Element? {
    let slot = Int(ticket.slot)
    guard slot < nodes.count, nodes[slot].serial == ticket.serial, nodes[slot].element != nil else {
      return nil
    }
    return removeSlot(ticket.slot)
  }

  /// Empties the queue and returns what was in it, in order.
  package mutating func removeAll() -> [Element] {
    var elements: [Element] = []
    elements.reserveCapacity(count)
    while let element = popFirst() { elements.append(element) }
    return elements
  }

  private mutating func removeSlot(_ slot: Int32) -> Element? {
    let index = Int(slot)
    let (previous, next) = (nodes[index].previous, nodes[index].next)
    if previous >= 0 { nodes[Int(previous)].next = next } else { head = next }
    if next >= 0 { nodes[Int(next)].previous = previous } else { tail = previous }
    let element = nodes[index].element.take()
    nodes[index].next = firstFree
    firstFree = slot
    count -= 1
    if count == 0, nodes.count > Self.keptSlots {
      // A crowd has gone: its memory goes back.
      nodes = []
      firstFree = -1
    }
    return element
  }
}
