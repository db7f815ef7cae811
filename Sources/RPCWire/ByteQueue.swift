/// A growable queue of bytes: encoders append at the end, the socket consumes from the front. It owns its
/// memory, which it allocates on first use, keeps while it is filled and drained again, and can hand over to
/// a pool. One owner, one thread; it never does I/O.
///
/// Unsafe memory stays inside this file: each access is within `start ..< end <= capacity`, which every
/// mutation preserves.
@safe
public struct ByteQueue: ~Copyable {
  @usableFromInline internal var base: UnsafeMutableRawPointer?
  @usableFromInline internal var start = 0
  @usableFromInline internal var end = 0
  @usableFromInline internal var capacity = 0

  /// An empty queue that holds no memory yet.
  public init() {
    unsafe base = nil
  }

  /// An empty queue over memory that another queue released.
  public init(adopting storage: ByteStorage) {
    unsafe base = storage.base
    capacity = storage.capacity
  }

  deinit {
    unsafe base?.deallocate()
  }

  /// How many bytes wait to be consumed.
  @inlinable public var count: Int { end - start }
  @inlinable public var isEmpty: Bool { end == start }
  /// Bytes of memory held, used or not.
  public var allocatedBytes: Int { capacity }

  /// Makes room for `extra` more bytes behind the end.
  @inlinable
  public mutating func reserve(_ extra: Int) {
    if capacity - end < extra { grow(extra) }
  }

  /// Bytes of memory that `reserve` of so many would take more.
  public func growth(of extra: Int) -> Int {
    guard capacity - end < extra, !canMakeRoom(extra) else { return 0 }
    return grownCapacity(extra) - capacity
  }

  /// The most that `reserve` makes room for without more memory.
  package var spareBytes: Int { canMove ? capacity - (end - start) : capacity - end }

  private func canMakeRoom(_ extra: Int) -> Bool { canMove && capacity - (end - start) >= extra }

  private var canMove: Bool { start > 0 && end - start <= capacity / 2 }

  private func grownCapacity(_ extra: Int) -> Int { max(capacity * 2, end - start + extra, 256) }

  @usableFromInline
  internal mutating func grow(_ extra: Int) {
    precondition(extra >= 0, "a queue cannot grow by a negative count")
    let used = end - start
    if canMakeRoom(extra), let memory = unsafe base {
      // Moving the bytes to the front is cheaper than new memory while they fill at most half.
      unsafe memory.copyMemory(from: memory + start, byteCount: used)
    } else {
      let wanted = grownCapacity(extra)
      let memory = UnsafeMutableRawPointer.allocate(byteCount: wanted, alignment: 16)
      if let old = unsafe base {
        unsafe memory.copyMemory(from: old + start, byteCount: used)
        unsafe old.deallocate()
      }
      unsafe base = unsafe memory
      capacity = wanted
    }
    start = 0
    end = used
  }

  /// Takes `byteCount` bytes off the front.
  @inlinable
  public mutating func consume(_ byteCount: Int) {
    precondition(byteCount >= 0 && byteCount <= count, "consumed more than the queue holds")
    start += byteCount
    if start == end {
      start = 0
      end = 0
    }
  }

  /// Drops every byte at and after `length`, counted from the front: undoes a half-written frame.
  public mutating func truncate(to length: Int) {
    precondition(length >= 0 && length <= count, "truncated beyond the end")
    end = start + length
  }

  public mutating func removeAll() {
    start = 0
    end = 0
  }

  /// Gives the memory up, or nil when there is none; the queue is empty afterwards.
  public mutating func releaseStorage() -> ByteStorage? {
    guard let memory = unsafe base else { return nil }
    let storage = unsafe ByteStorage(base: memory, capacity: capacity)
    unsafe base = nil
    start = 0
    end = 0
    capacity = 0
    return storage
  }

  // MARK: Appending

  @inlinable
  public mutating func append(_ byte: UInt8) {
    reserve(1)
    unsafe base.unsafelyUnwrapped.storeBytes(of: byte, toByteOffset: end, as: UInt8.self)
    end += 1
  }

  /// Appends an integer in little-endian order.
  @inlinable
  public mutating func append<Number: FixedWidthInteger & BitwiseCopyable>(littleEndian value: Number) {
    let size = MemoryLayout<Number>.size
    reserve(size)
    unsafe base.unsafelyUnwrapped.storeBytes(of: value.littleEndian, toByteOffset: end, as: Number.self)
    end += size
  }

  /// Appends an integer in big-endian order, as MessagePack has it.
  @inlinable
  public mutating func append<Number: FixedWidthInteger & BitwiseCopyable>(bigEndian value: Number) {
    let size = MemoryLayout<Number>.size
    reserve(size)
    unsafe base.unsafelyUnwrapped.storeBytes(of: value.bigEndian, toByteOffset: end, as: Number.self)
    end += size
  }

  /// Overwrites an integer that was appended before, `offset` bytes behind the front.
  @inlinable
  public mutating func patch<Number: FixedWidthInteger & BitwiseCopyable>(
    littleEndian value: Number, at offset: Int
  ) {
    precondition(offset >= 0 && offset + MemoryLayout<Number>.size <= count, "patched outside the queue")
    unsafe base.unsafelyUnwrapped.storeBytes(
      of: value.littleEndian, toByteOffset: start + offset, as: Number.self)
  }

  /// Moves what stands `offset` bytes behind the front, and all behind it, by `byteCount` bytes; what is in between is to
  /// be patched.
  package mutating func openGap(_ byteCount: Int, at offset: Int) {
    precondition(byteCount >= 0 && offset >= 0 && offset <= count, "a gap lies inside the queue")
    guard byteCount > 0 else { return }
    reserve(byteCount)
    let from = start + offset
    unsafe (base.unsafelyUnwrapped + from + byteCount).copyMemory(
      from: base.unsafelyUnwrapped + from, byteCount: end - from)
    end += byteCount
  }

  public mutating func append(_ bytes: RawSpan) {
    reserve(bytes.byteCount)
    let at = end
    end += bytes.byteCount
    guard let memory = unsafe base else { return }
    unsafe bytes.withUnsafeBytes { source in
      guard let from = source.baseAddress else { return }
      unsafe (memory + at).copyMemory(from: from, byteCount: source.count)
    }
  }

  public mutating func append(contentsOf other: borrowing ByteQueue) {
    append(other.bytes)
  }

  public mutating func append(_ bytes: [UInt8]) {
    unsafe append(bytes.span.bytes)
  }

  public mutating func append(_ text: String) {
    var text = text
    text.withUTF8 { unsafe append(RawSpan(_unsafeBytes: UnsafeRawBufferPointer($0))) }
  }

  // MARK: The socket's side

  /// Lets a `write` see the bytes in place.
  @inlinable
  public borrowing func withReadable<Result, Failure: Error>(
    _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    guard let memory = unsafe base else {
      return try unsafe body(UnsafeRawBufferPointer(start: nil, count: 0))
    }
    return try unsafe body(UnsafeRawBufferPointer(start: memory + start, count: end - start))
  }

  /// Lets a `read` fill up to `byteCount` bytes in place; `body` returns how many it filled.
  @inlinable
  public mutating func fill<Failure: Error>(
    upTo byteCount: Int, _ body: (UnsafeMutableRawBufferPointer) throws(Failure) -> Int
  ) throws(Failure) {
    reserve(byteCount)
    guard let memory = unsafe base else { return }
    let filled = try unsafe body(UnsafeMutableRawBufferPointer(start: memory + end, count: byteCount))
    precondition(filled >= 0 && filled <= byteCount, "filled more than there was room for")
    end += filled
  }

  /// The bytes that wait, in place.
  public var bytes: RawSpan {
    @_lifetime(borrow self) get {
      let span = unsafe RawSpan(
        _unsafeStart: UnsafeRawPointer(base ?? UnsafeMutableRawPointer(bitPattern: 16).unsafelyUnwrapped)
          + start, byteCount: end - start)
      return unsafe _overrideLifetime(span, borrowing: self)
    }
  }

  /// A copy of the bytes that wait: for tests and cold paths.
  public func copy() -> [UInt8] {
    unsafe withReadable { unsafe [UInt8]($0) }
  }
}

/// A queue is the only owner of its memory, and borrowing it only reads: moving one between threads, or
/// reading one from several, races with nothing.
extension ByteQueue: @unchecked Sendable {}

/// Memory between two queues: what `ByteQueue.releaseStorage()` gives up and a pool keeps. Whoever holds it
/// must adopt it into a queue or deallocate it.
@safe
public struct ByteStorage {
  internal let base: UnsafeMutableRawPointer
  public let capacity: Int

  internal init(base: UnsafeMutableRawPointer, capacity: Int) {
    unsafe self.base = base
    self.capacity = capacity
  }

  public func deallocate() {
    unsafe base.deallocate()
  }
}
