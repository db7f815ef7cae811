/// Reads JSON (RFC 8259) in place and strictly: no comments, trailing commas, byte order marks, lone
/// surrogates, unescaped control characters or keys that occur twice.
///
/// A number without fraction and exponent is an int, exactly, and an error beyond 64 bits; any other is a
/// float. Nesting is bounded as on the native wire. JSON has no bytes and no NaN: what stands for them depends on
/// the declared type, see `JSONArguments`.
package struct JSONReader: ~Escapable {
  internal let bytes: RawSpan
  /// Where the next token is looked for.
  package internal(set) var offset = 0

  @_lifetime(copy bytes)
  package init(_ bytes: RawSpan) {
    self.bytes = bytes
  }

  /// Reads the next value with the white space around it.
  @_lifetime(self: copy self)
  package mutating func readValue() throws(JSONError) -> Value {
    let value = try readValue(depth: 0)
    skipSpace()
    return value
  }

  /// Ends the reading: anything that is left is an error.
  package func finish() throws(JSONError) {
    if offset < bytes.byteCount {
      throw JSONError("\(found(at: offset)) follows the end of the value", at: offset)
    }
  }

  /// Whether all of the text is UTF-8.
  internal var isUTF8: Bool {
    unsafe bytes.withUnsafeBytes { bytes in
      unsafe bytes.allSatisfy { $0 < 0x80 } || String(validating: bytes, as: UTF8.self) != nil
    }
  }

  // MARK: Values

  @_lifetime(self: copy self)
  private mutating func readValue(depth: Int) throws(JSONError) -> Value {
    skipSpace()
    guard depth <= WireLimits.nestingDepthMax else {
      throw JSONError("lists and objects nest deeper than \(WireLimits.nestingDepthMax) levels", at: offset)
    }
    switch current {
    case UInt8(ascii: "{"): return try readObject(depth: depth)
    case UInt8(ascii: "["): return try readList(depth: depth)
    case UInt8(ascii: "\""): return .string(try readString())
    case UInt8(ascii: "-"), .some(UInt8(ascii: "0")...UInt8(ascii: "9")): return try readNumericValue()
    case UInt8(ascii: "t"): return try readWord("true", .bool(true))
    case UInt8(ascii: "f"): return try readWord("false", .bool(false))
    case UInt8(ascii: "n"): return try readWord("null", .null)
    default: throw JSONError("expected a value, found \(found(at: offset))", at: offset)
    }
  }

  @_lifetime(self: copy self)
  private mutating func readList(depth: Int) throws(JSONError) -> Value {
    var values: [Value] = []
    try passItems { (reader) throws(JSONError) in
      values.append(try reader.readValue(depth: depth + 1))
    }
    return .list(values)
  }

  @_lifetime(self: copy self)
  private mutating func readObject(depth: Int) throws(JSONError) -> Value {
    var entries: [Value.Entry] = []
    var seen = Set<UTF8Key>()
    try passMembers { (reader, token) throws(JSONError) in
      let start = token.range.lowerBound - 1
      let key = try reader.string(token, at: start)
      guard seen.insert(UTF8Key(key)).inserted else {
        throw JSONError("the key '\(key)' occurs twice", at: start)
      }
      entries.append(Value.Entry(key, try reader.readValue(depth: depth + 1)))
    }
    return .map(entries)
  }

  @_lifetime(self: copy self)
  private mutating func readNumericValue() throws(JSONError) -> Value {
    let start = offset
    switch try readNumber() {
    case .int(let value): return .int(value)
    case .wideInt(let range):
      throw JSONError("\(excerpt(range)) does not fit a signed 64-bit integer", at: start)
    case .fraction(let range):
      guard let value = float(range) else {
        throw JSONError("\(excerpt(range)) does not fit a float", at: start)
      }
      return .float(value)
    }
  }

  @_lifetime(self: copy self)
  private mutating func readWord(_ word: StaticString, _ value: Value) throws(JSONError) -> Value {
    try passWord(word)
    return value
  }
}

extension Value {
  /// Reads a text that is exactly one JSON value.
  package init(json bytes: RawSpan) throws(JSONError) {
    var reader = JSONReader(bytes)
    self = try reader.readValue()
    try reader.finish()
  }

  /// Reads a text that is exactly one JSON value.
  package init(json text: String) throws(JSONError) {
    try self.init(json: Array(text.utf8))
  }

  /// Reads a text that is exactly one JSON value.
  package init(json bytes: [UInt8]) throws(JSONError) {
    self = try unsafe Value(json: bytes.span.bytes)
  }
}
