internal import RPCWire

/// Protobuf encoding, straight into a queue.
extension ByteQueue {
  @inline(__always)
  mutating func append(varint value: UInt64) {
    if value < 0x80 { return append(UInt8(truncatingIfNeeded: value)) }
    appendLong(varint: value)
  }

  private mutating func appendLong(varint value: UInt64) {
    var rest = value
    while rest >= 0x80 {
      append(UInt8(truncatingIfNeeded: rest) | 0x80)
      rest >>= 7
    }
    append(UInt8(truncatingIfNeeded: rest))
  }

  @inline(__always)
  mutating func append(tag number: UInt32, _ type: ProtoWireType) {
    append(varint: UInt64(number) << 3 | UInt64(type.rawValue))
  }

  /// Begins a length-delimited field, whose bytes are appended next; its length is known at `endField`.
  mutating func beginField(_ number: UInt32) -> Int {
    append(tag: number, .bytes)
    append(0 as UInt8)
    return count
  }

  /// Writes the length of a field that began at `mark`, in as few bytes as it takes.
  mutating func endField(_ mark: Int) {
    var length = UInt64(count - mark)
    var width = 1
    while width < 10, length >> UInt64(7 * width) > 0 { width += 1 }
    openGap(width - 1, at: mark)
    for index in 0..<width {
      let isLast = index == width - 1
      patch(
        littleEndian: UInt8(truncatingIfNeeded: length & 0x7f) | (isLast ? 0 : 0x80), at: mark - 1 + index)
      length >>= 7
    }
  }

  /// A field of text or bytes that is in memory already.
  mutating func append(field number: UInt32, _ bytes: RawSpan) {
    append(tag: number, .bytes)
    append(varint: UInt64(bytes.byteCount))
    append(bytes)
  }
}
