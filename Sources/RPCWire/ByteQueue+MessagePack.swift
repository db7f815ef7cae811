/// MessagePack encoding (https://github.com/msgpack/msgpack/blob/master/spec.md): every value in its
/// shortest form, so that equal values have equal bytes.
extension ByteQueue {
  public mutating func appendNil() {
    append(0xc0 as UInt8)
  }

  public mutating func appendBool(_ value: Bool) {
    append(value ? 0xc3 : 0xc2 as UInt8)
  }

  @inlinable
  @inline(__always)
  public mutating func appendInt(_ value: Int64) {
    // Most numbers are small: one byte each.
    if value >= -32, value <= 0x7f {
      append(UInt8(truncatingIfNeeded: value))
    } else {
      appendLongInt(value)
    }
  }

  @usableFromInline
  internal mutating func appendLongInt(_ value: Int64) {
    if value >= 0 {
      switch value {
      case 0...0x7f: append(UInt8(truncatingIfNeeded: value))
      case 0...0xff:
        append(0xcc as UInt8)
        append(UInt8(truncatingIfNeeded: value))
      case 0...0xffff:
        append(0xcd as UInt8)
        append(bigEndian: UInt16(truncatingIfNeeded: value))
      case 0...0xffff_ffff:
        append(0xce as UInt8)
        append(bigEndian: UInt32(truncatingIfNeeded: value))
      default:
        append(0xcf as UInt8)
        append(bigEndian: UInt64(truncatingIfNeeded: value))
      }
    } else {
      switch value {
      case -32 ... -1: append(UInt8(truncatingIfNeeded: value))
      case -0x80 ... -1:
        append(0xd0 as UInt8)
        append(UInt8(truncatingIfNeeded: value))
      case -0x8000 ... -1:
        append(0xd1 as UInt8)
        append(bigEndian: Int16(truncatingIfNeeded: value))
      case -0x8000_0000 ... -1:
        append(0xd2 as UInt8)
        append(bigEndian: Int32(truncatingIfNeeded: value))
      default:
        append(0xd3 as UInt8)
        append(bigEndian: value)
      }
    }
  }

  /// Doubles keep all 64 bits, the payload of a NaN included.
  public mutating func appendDouble(_ value: Double) {
    append(0xcb as UInt8)
    append(bigEndian: value.bitPattern)
  }

  public mutating func appendString(_ value: String) {
    var value = value
    value.withUTF8 { utf8 in
      appendStringHeader(byteCount: utf8.count)
      unsafe append(RawSpan(_unsafeBytes: UnsafeRawBufferPointer(utf8)))
    }
  }

  /// Announces a string of `byteCount` UTF-8 bytes, which the caller appends next.
  public mutating func appendStringHeader(byteCount: Int) {
    switch byteCount {
    case 0...31: append(0xa0 | UInt8(truncatingIfNeeded: byteCount))
    case 0...0xff:
      append(0xd9 as UInt8)
      append(UInt8(truncatingIfNeeded: byteCount))
    case 0...0xffff:
      append(0xda as UInt8)
      append(bigEndian: UInt16(truncatingIfNeeded: byteCount))
    default:
      append(0xdb as UInt8)
      append(bigEndian: UInt32(byteCount))
    }
  }

  public mutating func appendBinary(_ value: [UInt8]) {
    appendBinaryHeader(byteCount: value.count)
    append(value)
  }

  public mutating func appendBinaryHeader(byteCount: Int) {
    switch byteCount {
    case 0...0xff:
      append(0xc4 as UInt8)
      append(UInt8(truncatingIfNeeded: byteCount))
    case 0...0xffff:
      append(0xc5 as UInt8)
      append(bigEndian: UInt16(truncatingIfNeeded: byteCount))
    default:
      append(0xc6 as UInt8)
      append(bigEndian: UInt32(byteCount))
    }
  }

  /// Announces a list of `count` values, which the caller appends next.
  @inlinable
  @inline(__always)
  public mutating func appendListHeader(count: Int) {
    if count >= 0, count <= 15 {
      append(0x90 | UInt8(truncatingIfNeeded: count))
    } else {
      appendLongListHeader(count: count)
    }
  }

  @usableFromInline
  internal mutating func appendLongListHeader(count: Int) {
    switch count {
    case 0...0xffff:
      append(0xdc as UInt8)
      append(bigEndian: UInt16(truncatingIfNeeded: count))
    default:
      append(0xdd as UInt8)
      append(bigEndian: UInt32(count))
    }
  }

  /// Announces a map of `count` entries; the caller appends a string and a value for each.
  public mutating func appendMapHeader(count: Int) {
    switch count {
    case 0...15: append(0x80 | UInt8(truncatingIfNeeded: count))
    case 0...0xffff:
      append(0xde as UInt8)
      append(bigEndian: UInt16(truncatingIfNeeded: count))
    default:
      append(0xdf as UInt8)
      append(bigEndian: UInt32(count))
    }
  }
}
