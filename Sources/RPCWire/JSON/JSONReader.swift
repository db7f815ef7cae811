/// Reads JSON (RFC 8259) in place and strictly: no comments, trailing commas, byte order marks, lone
/// surrogates, unescaped control characters or keys that occur twice.
///
/// A number without fraction and exponent is an int, exactly, and an error beyond 64 bits; any other is a
/// float. Nesting is bounded as on the native wire. JSON has no bytes and no NaN: what stands for them is
/// told by the declared type, see `ValueType.value(fromJSON:)`.
public struct JSONReader: ~Escapable {
  private let bytes: RawSpan
  /// Where the next token is looked for.
  public private(set) var offset = 0

  @_lifetime(copy bytes)
  public init(_ bytes: RawSpan) {
    self.bytes = bytes
  }

  /// Reads the next value with the white space around it.
  @_lifetime(self: copy self)
  public mutating func readValue() throws(JSONError) -> Value {
    let value = try readValue(depth: 0)
    skipSpace()
    return value
  }

  /// Ends the reading: anything that is left is an error.
  public func finish() throws(JSONError) {
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
    case UInt8(ascii: "-"), .some(UInt8(ascii: "0")...UInt8(ascii: "9")): return try readNumber()
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
  private mutating func readWord(_ word: StaticString, _ value: Value) throws(JSONError) -> Value {
    let start = offset
    let matches = word.withUTF8Buffer { letters in
      for index in letters.indices {
        guard start + index < bytes.byteCount, byte(at: start + index) == (unsafe letters[index]) else {
          return false
        }
      }
      return true
    }
    guard matches, !isWord(at: start + word.utf8CodeUnitCount) else {
      throw JSONError("expected a value, found \(found(at: start))", at: start)
    }
    offset += word.utf8CodeUnitCount
    return value
  }

  // MARK: Numbers

  @_lifetime(self: copy self)
  private mutating func readNumber() throws(JSONError) -> Value {
    let start = offset
    let negative = current == UInt8(ascii: "-")
    if negative { offset += 1 }
    let digits = offset
    // Summed up negated, since the most negative number has no positive twin.
    var negated: Int64 = 0
    var overflow = false
    while let digit = currentDigit {
      let (product, overflowed) = negated.multipliedReportingOverflow(by: 10)
      let (sum, overflowedToo) = product.subtractingReportingOverflow(digit)
      negated = sum
      overflow = overflow || overflowed || overflowedToo
      offset += 1
    }
    guard offset > digits else { throw JSONError("expected a digit, found \(found(at: offset))", at: offset) }
    guard offset == digits + 1 || byte(at: digits) != UInt8(ascii: "0") else {
      throw JSONError("a number does not start with 0", at: digits)
    }
    var isInteger = true
    if current == UInt8(ascii: ".") {
      isInteger = false
      offset += 1
      try skipDigits()
    }
    if current == UInt8(ascii: "e") || current == UInt8(ascii: "E") {
      isInteger = false
      offset += 1
      if current == UInt8(ascii: "+") || current == UInt8(ascii: "-") { offset += 1 }
      try skipDigits()
    }
    guard !isWord(at: offset) else { throw JSONError("\(found(at: offset)) inside a number", at: offset) }
    if isInteger {
      guard !overflow, negative || negated != .min else {
        throw JSONError("\(text(start..<offset, max: 40)) does not fit a signed 64-bit integer", at: start)
      }
      return .int(negative ? negated : -negated)
    }
    guard let value = Double(text(start..<offset)), value.isFinite else {
      throw JSONError("\(text(start..<offset, max: 40)) does not fit a float", at: start)
    }
    return .float(value)
  }

  @_lifetime(self: copy self)
  private mutating func skipDigits() throws(JSONError) {
    guard currentDigit != nil else {
      throw JSONError("expected a digit, found \(found(at: offset))", at: offset)
    }
    while currentDigit != nil { offset += 1 }
  }

  private var currentDigit: Int64? {
    guard let byte = current, byte >= UInt8(ascii: "0"), byte <= UInt8(ascii: "9") else { return nil }
    return Int64(byte - UInt8(ascii: "0"))
  }

  // MARK: Strings

  @_lifetime(self: copy self)
  private mutating func readString() throws(JSONError) -> String {
    let start = offset
    offset += 1
    var run = offset
    // Stays empty, and without memory, for a string that has no escapes.
    var unescaped = ByteQueue()
    while true {
      switch current {
      case nil: throw JSONError("a string that does not end", at: start)
      case UInt8(ascii: "\""):
        let text: String?
        if unescaped.isEmpty {
          text = String(validating: bytes, from: run, count: offset - run)
        } else {
          unescaped.append(bytes.extracting(run..<offset))
          text = String(validating: unescaped.bytes, from: 0, count: unescaped.count)
        }
        offset += 1
        guard let text else { throw JSONError("a string is not valid UTF-8", at: start) }
        return text
      case UInt8(ascii: "\\"):
        unescaped.append(bytes.extracting(run..<offset))
        try readEscape(into: &unescaped)
        run = offset
      case .some(0..<0x20):
        throw JSONError("\(found(at: offset)) in a string must be escaped", at: offset)
      default: offset += 1
      }
    }
  }

  @_lifetime(self: copy self)
  private mutating func readEscape(into queue: inout ByteQueue) throws(JSONError) {
    let start = offset
    offset += 1
    let letter = current
    offset += 1
    switch letter {
    case UInt8(ascii: "\""): queue.append(UInt8(ascii: "\""))
    case UInt8(ascii: "\\"): queue.append(UInt8(ascii: "\\"))
    case UInt8(ascii: "/"): queue.append(UInt8(ascii: "/"))
    case UInt8(ascii: "b"): queue.append(0x08 as UInt8)
    case UInt8(ascii: "f"): queue.append(0x0c as UInt8)
    case UInt8(ascii: "n"): queue.append(UInt8(ascii: "\n"))
    case UInt8(ascii: "r"): queue.append(UInt8(ascii: "\r"))
    case UInt8(ascii: "t"): queue.append(UInt8(ascii: "\t"))
    case UInt8(ascii: "u"):
      let unit = try readHex(of: start)
      var code = UInt32(unit)
      if UTF16.isLeadSurrogate(unit) {
        guard current == UInt8(ascii: "\\"), offset + 1 < bytes.byteCount,
          byte(at: offset + 1) == UInt8(ascii: "u")
        else { throw JSONError("half a surrogate pair", at: start) }
        offset += 2
        let low = try readHex(of: start)
        guard UTF16.isTrailSurrogate(low) else { throw JSONError("half a surrogate pair", at: start) }
        code = 0x10000 + (UInt32(unit & 0x3ff) << 10 | UInt32(low & 0x3ff))
      }
      guard let scalar = Unicode.Scalar(code) else { throw JSONError("half a surrogate pair", at: start) }
      for byte in scalar.utf8 { queue.append(byte) }
    default:
      throw JSONError("no such escape, write \\\\ for a backslash", at: start)
    }
  }

  /// The four hexadecimal digits behind `\u`.
  @_lifetime(self: copy self)
  private mutating func readHex(of start: Int) throws(JSONError) -> UInt16 {
    var unit: UInt16 = 0
    for _ in 0..<4 {
      let digit: UInt8
      switch current {
      case .some(let byte) where byte >= UInt8(ascii: "0") && byte <= UInt8(ascii: "9"):
        digit = byte - UInt8(ascii: "0")
      case .some(let byte) where byte >= UInt8(ascii: "a") && byte <= UInt8(ascii: "f"):
        digit = byte - UInt8(ascii: "a") + 10
      case .some(let byte) where byte >= UInt8(ascii: "A") && byte <= UInt8(ascii: "F"):
        digit = byte - UInt8(ascii: "A") + 10
      default: throw JSONError("\\u is followed by four hexadecimal digits", at: start)
      }
      unit = unit << 4 | UInt16(digit)
      offset += 1
    }
    return unit
  }

  // MARK: Bytes

  private var current: UInt8? {
    offset < bytes.byteCount ? byte(at: offset) : nil
  }

  private func byte(at index: Int) -> UInt8 {
    precondition(index >= 0 && index < bytes.byteCount)
    return unsafe bytes.unsafeLoad(fromByteOffset: index, as: UInt8.self)
  }

  @_lifetime(self: copy self)
  private mutating func skipSpace() {
    while let byte = current, byte == 0x20 || byte == 0x0a || byte == 0x0d || byte == 0x09 { offset += 1 }
  }

  /// Whether a letter, a digit or the like stands at `index`, which would make one word with what precedes.
  private func isWord(at index: Int) -> Bool {
    guard index < bytes.byteCount else { return false }
    switch byte(at: index) {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
      UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "."), 0x80...0xff:
      return true
    default: return false
    }
  }

  /// Bytes that were checked to be ASCII, as text.
  private func text(_ range: Range<Int>, max: Int = .max) -> String {
    let count = Swift.min(range.count, max)
    let text = String(validating: bytes, from: range.lowerBound, count: count) ?? ""
    return count < range.count ? text + "…" : text
  }

  /// What stands at `index`, as an error message names it.
  private func found(at index: Int) -> String {
    guard index < bytes.byteCount else { return "the end" }
    let byte = byte(at: index)
    return (0x20..<0x7f).contains(byte)
      ? "'\(Character(Unicode.Scalar(byte)))'" : "byte 0x\(byte < 16 ? "0" : "")\(String(byte, radix: 16))"
  }
}

extension Value {
  /// Reads a text that is exactly one JSON value.
  public init(json bytes: RawSpan) throws(JSONError) {
    var reader = JSONReader(bytes)
    self = try reader.readValue()
    try reader.finish()
  }

  /// Reads a text that is exactly one JSON value.
  public init(json text: String) throws(JSONError) {
    try self.init(json: Array(text.utf8))
  }

  /// Reads a text that is exactly one JSON value.
  public init(json bytes: [UInt8]) throws(JSONError) {
    self = try unsafe Value(json: bytes.span.bytes)
  }
}
