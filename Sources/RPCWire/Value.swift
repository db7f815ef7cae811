/// A value whose type is known at run time only: what the shell, scripts and declared `Any` work with. Typed
/// Swift code uses `RPCValue` instead and never boxes.
public enum Value: Sendable {
  case null
  case bool(Bool)
  case int(Int64)
  case float(Double)
  case string(String)
  case bytes([UInt8])
  case list([Value])
  /// A dictionary in the order it was written. Keys are unique.
  case map([Entry])

  public struct Entry: Sendable, Hashable {
    @ComparedByUTF8 public var key: String
    public var value: Value

    public init(_ key: String, _ value: Value) {
      self.key = key
      self.value = value
    }
  }

  /// The value of `key`, or nil when this is not a map or has no such key.
  public subscript(key: String) -> Value? {
    guard case .map(let entries) = self else { return nil }
    return entries.first { $0.key.hasSameUTF8(as: key) }?.value
  }
}

// MARK: Equality, which for text is that of bytes

extension Value: Hashable {
  public static func == (left: Value, right: Value) -> Bool {
    switch (left, right) {
    case (.null, .null): true
    case (.bool(let left), .bool(let right)): left == right
    case (.int(let left), .int(let right)): left == right
    case (.float(let left), .float(let right)): left == right
    case (.string(let left), .string(let right)): left.hasSameUTF8(as: right)
    case (.bytes(let left), .bytes(let right)): left == right
    case (.list(let left), .list(let right)): left == right
    case (.map(let left), .map(let right)): left == right
    default: false
    }
  }

  public func hash(into hasher: inout Hasher) {
    switch self {
    case .null: hasher.combine(0 as UInt8)
    case .bool(let value): hasher.combine(value)
    case .int(let value): hasher.combine(value)
    case .float(let value): hasher.combine(value)
    case .string(let value): value.hashUTF8(into: &hasher)
    case .bytes(let value): hasher.combine(value)
    case .list(let values): hasher.combine(values)
    case .map(let entries): hasher.combine(entries)
    }
  }
}

// MARK: Plain readers, nil where the value is another kind

extension Value {
  public var stringValue: String? { if case .string(let value) = self { value } else { nil } }
  public var intValue: Int64? { if case .int(let value) = self { value } else { nil } }
  public var boolValue: Bool? { if case .bool(let value) = self { value } else { nil } }
  public var bytesValue: [UInt8]? { if case .bytes(let value) = self { value } else { nil } }
  public var listValue: [Value]? { if case .list(let value) = self { value } else { nil } }
  public var mapValue: [Entry]? { if case .map(let value) = self { value } else { nil } }
  /// A float, or an int as one.
  public var floatValue: Double? {
    switch self {
    case .float(let value): value
    case .int(let value): Double(value)
    default: nil
    }
  }
  public var isNull: Bool { self == .null }
}

// MARK: MessagePack

extension Value {
  public func encode(to queue: inout ByteQueue) {
    switch self {
    case .null: queue.appendNil()
    case .bool(let value): queue.appendBool(value)
    case .int(let value): queue.appendInt(value)
    case .float(let value): queue.appendDouble(value)
    case .string(let value): queue.appendString(value)
    case .bytes(let value): queue.appendBinary(value)
    case .list(let values):
      queue.appendListHeader(count: values.count)
      for value in values { value.encode(to: &queue) }
    case .map(let entries):
      queue.appendMapHeader(count: entries.count)
      for entry in entries {
        queue.appendString(entry.key)
        entry.value.encode(to: &queue)
      }
    }
  }

  public static func decode(from reader: inout MessagePackReader) throws(WireError) -> Value {
    try decode(from: &reader, depth: 0)
  }

  private static func decode(from reader: inout MessagePackReader, depth: Int) throws(WireError) -> Value {
    guard depth <= WireLimits.nestingDepthMax else {
      throw .nestedTooDeep(limit: WireLimits.nestingDepthMax)
    }
    switch try reader.peek() {
    case .null:
      try reader.readNil()
      return .null
    case .bool: return .bool(try reader.readBool())
    case .int: return .int(try reader.readInt())
    case .float: return .float(try reader.readDouble())
    case .string: return .string(try reader.readString())
    case .binary: return .bytes(try reader.readBinary())
    case .list:
      let count = try reader.readListHeader()
      var values: [Value] = []
      // A lying count reserves nothing that its bytes could not fill.
      values.reserveCapacity(min(count, 1024))
      for _ in 0..<count { values.append(try decode(from: &reader, depth: depth + 1)) }
      return .list(values)
    case .map:
      let count = try reader.readMapHeader()
      var entries: [Entry] = []
      var seen = Set<UTF8Key>()
      entries.reserveCapacity(min(count, 1024))
      for _ in 0..<count {
        guard try reader.peek() == .string else { throw .nonStringKey }
        let key = try reader.readString()
        guard seen.insert(UTF8Key(key)).inserted else { throw .duplicateKey(key) }
        entries.append(Entry(key, try decode(from: &reader, depth: depth + 1)))
      }
      return .map(entries)
    }
  }

  /// The MessagePack bytes of this value alone.
  public var messagePack: [UInt8] {
    var queue = ByteQueue()
    encode(to: &queue)
    return queue.copy()
  }

  /// Decodes exactly one value from `bytes`.
  public init(messagePack bytes: [UInt8]) throws(WireError) {
    var reader = unsafe MessagePackReader(bytes.span.bytes)
    self = try Value.decode(from: &reader)
    try reader.finish()
  }

  /// Decodes arguments or return values, each of which may nest as deep as a value may.
  public static func list(messagePack bytes: [UInt8]) throws(WireError) -> [Value] {
    var reader = unsafe MessagePackReader(bytes.span.bytes)
    var values: [Value] = []
    for _ in 0..<(try reader.readListHeader()) { values.append(try Value.decode(from: &reader)) }
    try reader.finish()
    return values
  }
}

// MARK: Literals

extension Value: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral, ExpressibleByFloatLiteral,
  ExpressibleByBooleanLiteral, ExpressibleByArrayLiteral, ExpressibleByNilLiteral,
  ExpressibleByDictionaryLiteral
{
  public init(stringLiteral value: String) { self = .string(value) }
  public init(integerLiteral value: Int64) { self = .int(value) }
  public init(floatLiteral value: Double) { self = .float(value) }
  public init(booleanLiteral value: Bool) { self = .bool(value) }
  public init(arrayLiteral elements: Value...) { self = .list(elements) }
  public init(nilLiteral: ()) { self = .null }
  public init(dictionaryLiteral elements: (String, Value)...) {
    self = .map(elements.map { Entry($0.0, $0.1) })
  }
}
