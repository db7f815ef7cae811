/// Why a JSON value does not fit a declared type; reads on after "argument 2: ".
public struct JSONMismatch: Error, Hashable, Sendable, CustomStringConvertible {
  public var message: String
  public init(_ message: String) { self.message = message }
  public var description: String { message }
}

/// What a JSON value means where this type is declared.
extension ValueType {
  /// Converts what JSON could not say: an int becomes a float where one is declared, `"NaN"`, `"Infinity"`
  /// and `"-Infinity"` floats, base64 and `{"$bytes":"…"}` bytes. Where `Any` is declared, an object that is
  /// exactly `{"$bytes":"<base64>"}` means bytes and everything else itself.
  public func value(fromJSON value: Value) throws(JSONMismatch) -> Value {
    switch (self, value) {
    case (.int, .int), (.float, .float), (.bool, .bool), (.string, .string), (.none, .null), (.bytes, .bytes),
      (.optional, .null):
      return value
    case (.float, .int(let number)): return .float(Double(number))
    case (.float, .string(let name)):
      guard let number = JSONConvention.nonFinite(named: name) else { throw mismatch(value) }
      return .float(number)
    case (.bytes, .string(let text)):
      guard let bytes = Base64.decode(text) else {
        throw JSONMismatch("a str that is not base64 where bytes are declared")
      }
      return .bytes(bytes)
    case (.bytes, .map):
      guard let bytes = value.taggedBytes else { throw mismatch(value) }
      return .bytes(bytes)
    case (.optional(let wrapped), _): return try wrapped.value(fromJSON: value)
    case (.list(let element), .list(let values)):
      var converted: [Value] = []
      converted.reserveCapacity(values.count)
      for value in values { converted.append(try element.value(fromJSON: value)) }
      return .list(converted)
    case (.dict(let element), .map(let entries)):
      var converted: [Value.Entry] = []
      converted.reserveCapacity(entries.count)
      for entry in entries {
        converted.append(Value.Entry(entry.key, try element.value(fromJSON: entry.value)))
      }
      return .map(converted)
    case (.any, .list), (.unknown, .list): return try ValueType.list(.any).value(fromJSON: value)
    case (.any, .map), (.unknown, .map):
      if let bytes = value.taggedBytes { return .bytes(bytes) }
      return try ValueType.dict(.any).value(fromJSON: value)
    case (.any, _), (.unknown, _): return value
    default: throw mismatch(value)
    }
  }

  /// Reads an argument that was written as text: `32` as an int, `[1,2]` as a list, base64 as bytes. A `str`
  /// is the text itself, and so is `Any`.
  public func value(fromText text: String) throws(JSONMismatch) -> Value {
    switch self {
    case .string, .any, .unknown: return .string(text)
    case .bytes: return try value(fromJSON: .string(text))
    case .none, .bool, .int, .list, .dict, .float:
      if self == .float, let number = JSONConvention.nonFinite(named: text) { return .float(number) }
      if self == .none, text == "None" { return .null }
      if self == .bool, text == "True" || text == "False" { return .bool(text == "True") }
      let json: Value
      do {
        json = try Value(json: text)
      } catch {
        throw JSONMismatch("'\(Self.excerpt(text))' is no \(self) (\(error))")
      }
      return try value(fromJSON: json)
    case .optional(let wrapped):
      if wrapped.isTextual { return .string(text) }
      if text == "null" || text == "None" { return .null }
      return try wrapped.value(fromText: text)
    }
  }

  /// Whether text of this type means itself, `Optional[str]` included.
  private var isTextual: Bool {
    switch self {
    case .string, .any, .unknown: true
    case .optional(let wrapped): wrapped.isTextual
    default: false
    }
  }

  private func mismatch(_ value: Value) -> JSONMismatch {
    JSONMismatch("expected \(self), found \(ValueType(describing: value)) \(Self.excerpt(value.json))")
  }

  /// The start of a text that may be long.
  private static func excerpt(_ text: String) -> String {
    text.utf8.count <= 60 ? text : "\(text.prefix(40))…"
  }
}

extension Value {
  /// The bytes that `{"$bytes":"<base64>"}` stands for.
  fileprivate var taggedBytes: [UInt8]? {
    guard case .map(let entries) = self, entries.count == 1, entries[0].key == JSONConvention.bytesKey,
      case .string(let text) = entries[0].value
    else { return nil }
    return Base64.decode(text)
  }
}
