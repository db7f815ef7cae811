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
    offset += 1
    var values: [Value] = []
    skipSpace()
    if current == UInt8(ascii: "]") {
      offset += 1
      return .list(values)
    }
    while true {
      values.append(try readValue(depth: depth + 1))
      skipSpace()
      switch current {
      case UInt8(ascii: ","): offset += 1
      case UInt8(ascii: "]"):
        offset += 1
        return .list(values)
      default: throw JSONError("expected ',' or ']' in a list, found \(found(at: offset))", at: offset)
      }
    }
  }

  @_lifetime(self: copy self)
  private mutating func readObject(depth: Int) throws(JSONError) -> Value {
    offset += 1
    var entries: [Value.Entry] = []
    var seen = Set<UTF8Key>()
    skipSpace()
    if current == UInt8(ascii: "}") {
      offset += 1
      return .map(entries)
    }
    while true {
      skipSpace()
      guard current == UInt8(ascii: "\"") else {
        throw JSONError("expected a key in double quotes, found \(found(at: offset))", at: offset)
      }
      let start = offset
      let key = try readString()
      guard seen.insert(UTF8Key(key)).inserted else {
        throw JSONError("the key '\(key)' occurs twice", at: start)
      }
      skipSpace()
      guard current == UInt8(ascii: ":") else {
        throw JSONError("expected ':' after the key '\(key)', found \(found(at: offset))", at: offset)
      }
      offset += 1
      entries.append(Value.Entry(key, try readValue(depth: depth + 1)))
      skipSpace()
      switch current {
      case UInt8(ascii: ","): offset += 1
      case UInt8(ascii: "}"):
        offset += 1
        return .map(entries)
      default: throw JSONError("expected ',' or '}' in an object, found \(found(at: offset))", at: offset)
      }
    }
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
