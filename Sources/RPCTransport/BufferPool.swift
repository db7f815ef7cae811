internal import RPCWire

/// The memory of the queues that are in use right now, and some to spare: a connection holds a buffer only
/// while bytes are in it, so an idle one costs none. One pool a loop.
internal struct BufferPool {
  /// Buffers kept for later, the largest one worth keeping, and the bytes of all of them: what a load leaves behind
  /// is bounded, whatever it was.
  static let keptMax = 64
  static let keptBytesMax = 1024 * 1024
  static let keptBytesTotal = 4 * 1024 * 1024
  static let freshBytes = 32 * 1024

  private var kept: ContiguousArray<ByteStorage> = []
  private(set) var keptBytes = 0

  init() {
    kept.reserveCapacity(Self.keptMax)
  }

  mutating func take() -> ByteQueue {
    if let storage = kept.popLast() {
      keptBytes -= storage.capacity
      return ByteQueue(adopting: storage)
    }
    var queue = ByteQueue()
    queue.reserve(Self.freshBytes)
    return queue
  }

  mutating func giveBack(_ queue: inout ByteQueue) {
    guard let storage = queue.releaseStorage() else { return }
    if kept.count < Self.keptMax, Self.freshBytes...Self.keptBytesMax ~= storage.capacity,
      keptBytes + storage.capacity <= Self.keptBytesTotal
    {
      kept.append(storage)
      keptBytes += storage.capacity
    } else {
      storage.deallocate()
    }
  }

  mutating func removeAll() {
    for storage in kept { storage.deallocate() }
    kept.removeAll()
    keptBytes = 0
  }
}
