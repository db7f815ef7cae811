/// A Swift type that travels as a value: `Int`, `Double`, `Bool`, `String`, `Bytes`, arrays, dictionaries by
/// string and optionals of those, and `Value` for what is declared `Any`. Encoding and decoding go straight
/// between the wire's bytes and the Swift value.
public protocol RPCValue: Sendable, SendableMetatype {
  /// The declared type it corresponds to.
  static var valueType: ValueType { get }
  static func decode(from reader: inout MessagePackReader) throws(WireError) -> Self
  func encode(to queue: inout ByteQueue)
}

extension Int: RPCValue {
  public static var valueType: ValueType { .int }
  @inlinable
  @inline(__always)
  public static func decode(from reader: inout MessagePackReader) throws(WireError) -> Int {
    Int(try reader.readInt())
  }
  @inlinable
  @inline(__always)
  public func encode(to queue: inout ByteQueue) { queue.appendInt(Int64(self)) }
}

extension Int64: RPCValue {
  public static var valueType: ValueType { .int }
  @inlinable
  public static func decode(from reader: inout MessagePackReader) throws(WireError) -> Int64 {
    try reader.readInt()
  }
  @inlinable
  public func encode(to queue: inout ByteQueue) { queue.appendInt(self) }
}

extension Double: RPCValue {
  public static var valueType: ValueType { .float }
  @inlinable
  public static func decode(from reader: inout MessagePackReader) throws(WireError) -> Double {
    try reader.readDouble()
  }
  @inlinable
  public func encode(to queue: inout ByteQueue) { queue.appendDouble(self) }
}

extension Bool: RPCValue {
  public static var valueType: ValueType { .bool }
  @inlinable
  public static func decode(from reader: inout MessagePackReader) throws(WireError) -> Bool {
    try reader.readBool()
  }
  @inlinable
  public func encode(to queue: inout ByteQueue) { queue.appendBool(self) }
}

extension String: RPCValue {
  public static var valueType: ValueType { .string }
  public static func decode(from reader: inout MessagePackReader) throws(WireError) -> String {
    try reader.readString()
  }
  public func encode(to queue: inout ByteQueue) { queue.appendString(self) }
}

/// The declared type `bytes`. A type of its own, since `[UInt8]` would be a list of numbers.
public struct Bytes: RPCValue, Hashable {
  public var storage: [UInt8]
  public init(_ storage: [UInt8]) { self.storage = storage }
  public static var valueType: ValueType { .bytes }
  public static func decode(from reader: inout MessagePackReader) throws(WireError) -> Bytes {
    Bytes(try reader.readBinary())
  }
  public func encode(to queue: inout ByteQueue) { queue.appendBinary(storage) }
}

extension Array: RPCValue where Element: RPCValue {
  public static var valueType: ValueType { .list(Element.valueType) }
  public static func decode(from reader: inout MessagePackReader) throws(WireError) -> [Element] {
    let count = try reader.readListHeader()
    var values: [Element] = []
    values.reserveCapacity(Swift.min(count, 1024))
    for _ in 0..<count { values.append(try Element.decode(from: &reader)) }
    return values
  }
  public func encode(to queue: inout ByteQueue) {
    queue.appendListHeader(count: count)
    for value in self { value.encode(to: &queue) }
  }
}

extension Dictionary: RPCValue where Key == String, Value: RPCValue {
  public static var valueType: ValueType { .dict(Value.valueType) }
  public static func decode(from reader: inout MessagePackReader) throws(WireError) -> [String: Value] {
    let count = try reader.readMapHeader()
    var values: [String: Value] = [:]
    for _ in 0..<count {
      guard case .string = try reader.peek() else { throw .nonStringKey }
      let key = try reader.readString()
      // Two keys that are equal to Swift alone, see `UTF8Key`, cannot both be kept: refused rather than lost.
      guard values.updateValue(try Value.decode(from: &reader), forKey: key) == nil else {
        throw .duplicateKey(key)
      }
    }
    return values
  }
  public func encode(to queue: inout ByteQueue) {
    queue.appendMapHeader(count: count)
    for (key, value) in self {
      queue.appendString(key)
      value.encode(to: &queue)
    }
  }
}

extension Optional: RPCValue where Wrapped: RPCValue {
  public static var valueType: ValueType { .optional(Wrapped.valueType) }
  public static func decode(from reader: inout MessagePackReader) throws(WireError) -> Wrapped? {
    guard case .null = try reader.peek() else { return try Wrapped.decode(from: &reader) }
    try reader.readNil()
    return nil
  }
  public func encode(to queue: inout ByteQueue) {
    if let self { self.encode(to: &queue) } else { queue.appendNil() }
  }
}

extension Value: RPCValue {
  public static var valueType: ValueType { .any }
}
