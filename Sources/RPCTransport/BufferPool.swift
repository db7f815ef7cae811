internal import RPCWire

/// The memory of the queues that are in use right now, and some to spare: a connection holds a buffer only
/// while bytes are in it, so an idle one costs none. One pool a loop.
internal struct BufferPool {
  /// Buffers kept for later, and the largest one worth keeping, in bytes.
  static let keptMax = 64
  static let keptBytesMax = 1024 * 1024
  static let freshBytes = 32 * 1024

  private var kept: ContiguousArray<ByteStorage> = []

  init() {
    kept.reserveCapacity(Self.keptMax)
  }

  mutating func take() -> ByteQueue {
    if let storage = kept.popLast() { return ByteQueue(adopting: storage) }
    var queue = ByteQueue()
    queue.reserve(Self.freshBytes)
    return queue
  }

  mutating func giveBack(_ queue: inout ByteQueue) {
    guard let storage = queue.releaseStorage() else { return }
    if kept.count < Self.keptMax, storage.capacity <= Self.keptBytesMax {
      kept.append(storage)
    } else {
      storage.deallocate()
    }
  }

  mutating func removeAll() {
    for storage in kept { storage.deallocate() }
    kept.removeAll()
  }
}
