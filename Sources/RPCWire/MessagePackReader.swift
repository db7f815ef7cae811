/// Reads MessagePack in place, one value after the other, and trusts no length: each is checked against the
/// bytes that are there before anything is allocated. It borrows the bytes and copies only what it returns.
///
/// Integers above 2^63 - 1, extension types and nesting beyond `WireLimits.nestingDepthMax` are errors.
public struct MessagePackReader: ~Escapable {
  @usableFromInline internal let bytes: RawSpan
  @usableFromInline internal var position = 0
  /// Where the next value starts, counted from the first byte.
  @inlinable public var offset: Int { position }

  @inlinable
  @_lifetime(copy bytes)
  public init(_ bytes: RawSpan) {
    self.bytes = bytes
  }

  @inlinable public var remaining: Int { bytes.byteCount - position }

  // MARK: One value at a time

  /// The kind of the next value, which stays unread.
  public func peek() throws(WireError) -> MessagePackKind {
    try MessagePackKind(typeByte: byte(at: position))
  }

  @_lifetime(self: copy self)
  public mutating func readNil() throws(WireError) {
    guard try take() == 0xc0 else { throw retractAndMismatch("None") }
  }

  @_lifetime(self: copy self)
  public mutating func readBool() throws(WireError) -> Bool {
    switch try take() {
    case 0xc2: return false
    case 0xc3: return true
    default: throw retractAndMismatch("bool")
    }
  }

  @inlinable
  @inline(__always)
  @_lifetime(self: copy self)
  public mutating func readInt() throws(WireError) -> Int64 {
    let type = try take()
    // Most numbers are small: they need no switch.
    return type <= 0x7f ? Int64(type) : try readInt(ofType: type)
  }

  @usableFromInline
  @_lifetime(self: copy self)
  internal mutating func readInt(ofType type: UInt8) throws(WireError) -> Int64 {
    switch type {
    case 0x00...0x7f: return Int64(type)
    case 0xe0...0xff: return Int64(Int8(bitPattern: type))
    case 0xcc: return Int64(try load(UInt8.self))
    case 0xcd: return Int64(try load(UInt16.self))
    case 0xce: return Int64(try load(UInt32.self))
    case 0xcf:
      let value = try load(UInt64.self)
      guard let signed = Int64(exactly: value) else { throw .integerOutOfRange(value) }
      return signed
    case 0xd0: return Int64(try load(Int8.self))
    case 0xd1: return Int64(try load(Int16.self))
    case 0xd2: return Int64(try load(Int32.self))
    case 0xd3: return try load(Int64.self)
    default: throw retractAndMismatch("int")
    }
  }

  /// A float, or an integer: an `int` is accepted where a `float` is declared.
  @_lifetime(self: copy self)
  public mutating func readDouble() throws(WireError) -> Double {
    switch try take() {
    case 0xcb: return Double(bitPattern: try load(UInt64.self))
    case 0xca: return Double(Float(bitPattern: try load(UInt32.self)))
    default:
      position -= 1
      guard case .int = try peek() else { throw mismatch("float") }
      return Double(try readInt())
    }
  }

  @_lifetime(self: copy self)
  public mutating func readString() throws(WireError) -> String {
    let count = try readStringHeader()
    guard let text = String(validating: bytes, from: position, count: count) else { throw .invalidUTF8 }
    position += count
    return text
  }

  /// The length of a string, whose bytes are known to be there; the reader stands at the first.
  @_lifetime(self: copy self)
  public mutating func readStringHeader() throws(WireError) -> Int {
    let type = try take()
    let count: Int
    switch type {
    case 0xa0...0xbf: count = Int(type & 0x1f)
    case 0xd9: count = Int(try load(UInt8.self))
    case 0xda: count = Int(try load(UInt16.self))
    case 0xdb: count = Int(try load(UInt32.self))
    default: throw retractAndMismatch("str")
    }
    guard count <= remaining else { throw .truncated }
    return count
  }

  @_lifetime(self: copy self)
  public mutating func readBinary() throws(WireError) -> [UInt8] {
    let range = try readBinaryRange()
    return unsafe bytes.extracting(range).withUnsafeBytes { unsafe [UInt8]($0) }
  }

  /// Where the bytes of a binary stand, which are passed over.
  @_lifetime(self: copy self)
  package mutating func readBinaryRange() throws(WireError) -> Range<Int> {
    let type = try take()
    let count: Int
    switch type {
    case 0xc4: count = Int(try load(UInt8.self))
    case 0xc5: count = Int(try load(UInt16.self))
    case 0xc6: count = Int(try load(UInt32.self))
    default: throw retractAndMismatch("bytes")
    }
    guard count <= remaining else { throw .truncated }
    position += count
    return position - count..<position
  }

  /// The count of a list's values, each of which is at least one byte.
  @inlinable
  @inline(__always)
  @_lifetime(self: copy self)
  public mutating func readListHeader() throws(WireError) -> Int {
    let type = try take()
    let count = type & 0xf0 == 0x90 ? Int(type & 0x0f) : try readLongListHeader(ofType: type)
    guard count <= remaining else { throw .truncated }
    return count
  }

  @usableFromInline
  @_lifetime(self: copy self)
  internal mutating func readLongListHeader(ofType type: UInt8) throws(WireError) -> Int {
    switch type {
    case 0xdc: return Int(try load(UInt16.self))
    case 0xdd: return Int(try load(UInt32.self))
    default: throw retractAndMismatch("a list")
    }
  }

  /// The count of a map's entries, each of which is at least two bytes.
  @_lifetime(self: copy self)
  public mutating func readMapHeader() throws(WireError) -> Int {
    let type = try take()
    let count: Int
    switch type {
    case 0x80...0x8f: count = Int(type & 0x0f)
    case 0xde: count = Int(try load(UInt16.self))
    case 0xdf: count = Int(try load(UInt32.self))
    default: throw retractAndMismatch("a map")
    }
    guard count <= remaining / 2 else { throw .truncated }
    return count
  }

  /// Passes over one value, whatever it is, checking only that it is whole.
  @_lifetime(self: copy self)
  public mutating func skip() throws(WireError) {
    // A running count of values still to pass, so that nesting costs no stack.
    var pending = 1
    while pending > 0 {
      pending -= 1
      switch try peek() {
      case .list: pending += try readListHeader()
      case .map: pending += 2 * (try readMapHeader())
      case .string: position += try readStringHeader()
      case .binary:
        let type = try take()
        let count =
          try type == 0xc4
          ? Int(load(UInt8.self)) : type == 0xc5 ? Int(load(UInt16.self)) : Int(load(UInt32.self))
        guard count <= remaining else { throw .truncated }
        position += count
      case .int: _ = try readInt()
      case .float: _ = try readDouble()
      case .bool: _ = try readBool()
      case .null: try readNil()
      }
    }
  }

  /// Ends the reading: bytes that are left are an error.
  @inlinable
  @inline(__always)
  public func finish() throws(WireError) {
    if remaining > 0 { throw .trailingBytes(remaining) }
  }

  /// The bytes from here to the end, in place.
  public var rest: RawSpan {
    @_lifetime(copy self) get { bytes.extracting(position..<bytes.byteCount) }
  }

  /// The bytes between two offsets, in place.
  @_lifetime(copy self)
  public func slice(_ range: Range<Int>) -> RawSpan {
    bytes.extracting(range)
  }

  // MARK: Little-endian fields of a frame

  /// A fixed field of a frame's payload: little-endian, unlike MessagePack's own numbers.
  @inlinable
  @inline(__always)
  @_lifetime(self: copy self)
  public mutating func readFixed<Number: FixedWidthInteger & BitwiseCopyable>(
    _ type: Number.Type
  ) throws(WireError) -> Number {
    Number(littleEndian: try loadRaw(type))
  }

  /// The next `count` bytes, in place.
  @_lifetime(self: copy self)
  public mutating func readRaw(_ count: Int) throws(WireError) -> Range<Int> {
    guard count >= 0, count <= remaining else { throw .truncated }
    position += count
    return position - count..<position
  }

  // MARK: Bytes

  @inlinable
  @inline(__always)
  internal func byte(at index: Int) throws(WireError) -> UInt8 {
    guard index < bytes.byteCount else { throw .truncated }
    return unsafe bytes.unsafeLoad(fromByteOffset: index, as: UInt8.self)
  }

  @inlinable
  @inline(__always)
  @_lifetime(self: copy self)
  internal mutating func take() throws(WireError) -> UInt8 {
    let value = try byte(at: position)
    position += 1
    return value
  }

  @inlinable
  @inline(__always)
  @_lifetime(self: copy self)
  internal mutating func load<Number: FixedWidthInteger & BitwiseCopyable>(
    _ type: Number.Type
  ) throws(WireError) -> Number {
    Number(bigEndian: try loadRaw(type))
  }

  @inlinable
  @inline(__always)
  @_lifetime(self: copy self)
  internal mutating func loadRaw<Number: FixedWidthInteger & BitwiseCopyable>(
    _ type: Number.Type
  ) throws(WireError) -> Number {
    let size = MemoryLayout<Number>.size
    guard size <= remaining else { throw .truncated }
    defer { position += size }
    return unsafe bytes.unsafeLoadUnaligned(fromByteOffset: position, as: Number.self)
  }

  @usableFromInline
  @_lifetime(self: copy self)
  internal mutating func retractAndMismatch(_ expected: String) -> WireError {
    position -= 1
    return mismatch(expected)
  }

  private func mismatch(_ expected: String) -> WireError {
    do {
      return .unexpectedType(expected: expected, found: try peek().rawValue)
    } catch {
      return error
    }
  }
}

/// The kinds of value that the protocol's MessagePack uses, by the names of `ValueType`.
public enum MessagePackKind: String, Sendable {
  case null = "None"
  case bool
  case int
  case float
  case string = "str"
  case binary = "bytes"
  case list = "a list"
  case map = "a map"

  init(typeByte: UInt8) throws(WireError) {
    switch typeByte {
    case 0x00...0x7f, 0xe0...0xff, 0xcc...0xd3: self = .int
    case 0x80...0x8f, 0xde, 0xdf: self = .map
    case 0x90...0x9f, 0xdc, 0xdd: self = .list
    case 0xa0...0xbf, 0xd9...0xdb: self = .string
    case 0xc0: self = .null
    case 0xc2, 0xc3: self = .bool
    case 0xc4...0xc6: self = .binary
    case 0xca, 0xcb: self = .float
    default: throw .unsupportedType(typeByte)
    }
  }
}

extension String {
  /// The text of `count` bytes at `position`, or nil where they are not UTF-8.
  init?(validating bytes: RawSpan, from position: Int, count: Int) {
    let text = unsafe bytes.extracting(position..<position + count).withUnsafeBytes {
      unsafe String(validating: $0, as: UTF8.self)
    }
    guard let text else { return nil }
    self = text
  }
}
