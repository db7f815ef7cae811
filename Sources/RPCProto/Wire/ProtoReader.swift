internal import RPCWire

/// What is wrong with a protobuf message, or with a value that is to become one.
package struct ProtoError: Error, Hashable, Sendable, CustomStringConvertible {
  package var description: String

  package init(_ description: String) { self.description = description }

  static let truncated = ProtoError("the protobuf message ends inside a field")
  static let invalidUTF8 = ProtoError("a string is not valid UTF-8")
  static let nestedTooDeep = ProtoError(
    "lists, maps and messages nest deeper than \(WireLimits.nestingDepthMax) levels")
}

/// The wire types of protobuf (https://protobuf.dev/programming-guides/encoding).
enum ProtoWireType: UInt8 {
  case varint = 0
  case fixed64 = 1
  case bytes = 2
  case groupStart = 3
  case groupEnd = 4
  case fixed32 = 5
}

/// The beginning of a field.
struct ProtoTag {
  var number: UInt32
  var type: ProtoWireType
}

/// Reads the fields of a protobuf message in place. It trusts no length: each is checked against the bytes that are there.
struct ProtoReader: ~Escapable {
  let bytes: RawSpan
  private(set) var offset: Int
  private let end: Int

  @_lifetime(copy bytes)
  init(_ bytes: RawSpan) {
    self.bytes = bytes
    offset = 0
    end = bytes.byteCount
  }

  /// Reads the part of `bytes` that is `range`; offsets stay those of `bytes`.
  @_lifetime(copy bytes)
  init(_ bytes: RawSpan, _ range: Range<Int>) {
    precondition(range.lowerBound >= 0 && range.upperBound <= bytes.byteCount, "a part lies within its whole")
    self.bytes = bytes
    offset = range.lowerBound
    end = range.upperBound
  }

  var isAtEnd: Bool { offset == end }
  var remaining: Int { end - offset }

  /// The next field's number and wire type.
  @inline(__always)
  @_lifetime(self: copy self)
  mutating func readTag() throws(ProtoError) -> ProtoTag {
    let value = try readVarint()
    let number = value >> 3
    guard number > 0, number < 1 << 29 else { throw ProtoError("a field has the number \(number)") }
    guard let type = ProtoWireType(rawValue: UInt8(truncatingIfNeeded: value & 7)) else {
      throw ProtoError("field \(number) has the unknown wire type \(value & 7)")
    }
    return ProtoTag(number: UInt32(truncatingIfNeeded: number), type: type)
  }

  @inline(__always)
  @_lifetime(self: copy self)
  mutating func readVarint() throws(ProtoError) -> UInt64 {
    guard offset < end else { throw .truncated }
    let first = unsafe bytes.unsafeLoad(fromUncheckedByteOffset: offset, as: UInt8.self)
    if first < 0x80 {
      offset += 1
      return UInt64(first)
    }
    return try readLongVarint()
  }

  @_lifetime(self: copy self)
  private mutating func readLongVarint() throws(ProtoError) -> UInt64 {
    var value: UInt64 = 0
    var shift: UInt64 = 0
    while true {
      guard offset < end else { throw .truncated }
      let byte = unsafe bytes.unsafeLoad(fromUncheckedByteOffset: offset, as: UInt8.self)
      offset += 1
      guard shift < 63 || byte <= 1 else { throw ProtoError("a varint is longer than 64 bits") }
      value |= UInt64(byte & 0x7f) << shift
      if byte < 0x80 { return value }
      shift += 7
    }
  }

  @_lifetime(self: copy self)
  mutating func readFixed64() throws(ProtoError) -> UInt64 {
    guard remaining >= 8 else { throw .truncated }
    defer { offset += 8 }
    return unsafe UInt64(littleEndian: bytes.unsafeLoadUnaligned(fromByteOffset: offset, as: UInt64.self))
  }

  /// Where the bytes of a length-delimited field stand; they are passed over.
  @_lifetime(self: copy self)
  mutating func readBytes() throws(ProtoError) -> Range<Int> {
    let count = try readVarint()
    guard count <= UInt64(remaining) else { throw .truncated }
    let start = offset
    offset += Int(count)
    return start..<offset
  }

  /// Passes over the rest of a field whose tag was read.
  @_lifetime(self: copy self)
  mutating func skip(_ tag: ProtoTag) throws(ProtoError) {
    switch tag.type {
    case .varint: _ = try readVarint()
    case .fixed64: try pass(8)
    case .bytes: _ = try readBytes()
    case .fixed32: try pass(4)
    case .groupStart: try skipGroup(tag.number)
    case .groupEnd: throw ProtoError("the group \(tag.number) ends without a beginning")
    }
  }

  @_lifetime(self: copy self)
  private mutating func pass(_ count: Int) throws(ProtoError) {
    guard remaining >= count else { throw .truncated }
    offset += count
  }

  @_lifetime(self: copy self)
  private mutating func skipGroup(_ number: UInt32) throws(ProtoError) {
    var open = [number]
    while let innermost = open.last {
      let tag = try readTag()
      switch tag.type {
      case .groupStart:
        guard open.count < WireLimits.nestingDepthMax else { throw .nestedTooDeep }
        open.append(tag.number)
      case .groupEnd:
        guard tag.number == innermost else {
          throw ProtoError("the group \(tag.number) ends inside the group \(innermost)")
        }
        open.removeLast()
      default: try skip(tag)
      }
    }
  }
}
