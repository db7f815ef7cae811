/// A number as it is written.
internal enum JSONNumber {
  case int(Int64)
  /// Without fraction and exponent, and beyond 64 bits: where it stands.
  case wideInt(Range<Int>)
  /// With a fraction or an exponent: where it stands.
  case fraction(Range<Int>)
}

/// What stands between the quotes of a string: its escapes are known to be whole, not what they mean.
internal struct JSONText {
  var range: Range<Int>
  var isEscaped: Bool
}

/// The tokens of JSON, one at a time.
extension JSONReader {
  // MARK: Words

  @_lifetime(self: copy self)
  internal mutating func passWord(_ word: StaticString) throws(JSONError) {
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
  }

  // MARK: Numbers

  @_lifetime(self: copy self)
  @inline(__always)
  internal mutating func readNumber() throws(JSONError) -> JSONNumber {
    if let value = readShortInteger() { return .int(value) }
    return try readAnyNumber()
  }

  /// An integer of at most 18 digits, which cannot overflow, with a separator behind it: most numbers are. Otherwise
  /// nil, and nothing is read.
  @_lifetime(self: copy self)
  @inline(__always)
  internal mutating func readShortInteger() -> Int64? {
    let negative = current == UInt8(ascii: "-")
    let first = negative ? offset + 1 : offset
    let end = min(bytes.byteCount, first + 18)
    var index = first
    var value: Int64 = 0
    while index < end {
      let digit = byte(at: index) &- UInt8(ascii: "0")
      guard digit <= 9 else { break }
      value = value &* 10 &+ Int64(digit)
      index += 1
    }
    guard index > first, index < bytes.byteCount else { return nil }
    guard index == first + 1 || byte(at: first) != UInt8(ascii: "0") else { return nil }
    switch byte(at: index) {
    case UInt8(ascii: ","), UInt8(ascii: "]"), UInt8(ascii: "}"), UInt8(ascii: " "):
      offset = index
      return negative ? -value : value
    default: return nil
    }
  }

  @_lifetime(self: copy self)
  private mutating func readAnyNumber() throws(JSONError) -> JSONNumber {
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
    guard isInteger else { return .fraction(start..<offset) }
    guard !overflow, negative || negated != .min else { return .wideInt(start..<offset) }
    return .int(negative ? negated : -negated)
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

  /// The number that stands at `range` as the nearest float, nil where it is beyond all of them.
  internal func float(_ range: Range<Int>) -> Double? {
    if let value = exactFloat(range) { return value }
    guard let value = Double(text(range)), value.isFinite else { return nil }
    return value
  }

  /// Powers of ten that a double holds exactly.
  private static let exactPowers: [Double] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18,
    1e19,
    1e20, 1e21, 1e22,
  ]

  /// The float, where a double holds both the digits and the power of ten exactly: then one multiplication or
  /// division rounds correctly (Clinger, 1990). This is how most numbers are written, and needs no text of its own.
  private func exactFloat(_ range: Range<Int>) -> Double? {
    var digits: UInt64 = 0
    var exponent = 0
    var isFraction = false
    var index = range.lowerBound
    let negative = byte(at: index) == UInt8(ascii: "-")
    if negative { index += 1 }
    scan: while index < range.upperBound {
      let byte = byte(at: index)
      switch byte {
      case UInt8(ascii: "."): isFraction = true
      case UInt8(ascii: "0")...UInt8(ascii: "9"):
        digits = digits * 10 + UInt64(byte - UInt8(ascii: "0"))
        guard digits < 1 << 53 else { return nil }
        if isFraction { exponent -= 1 }
      default: break scan
      }
      index += 1
    }
    if index < range.upperBound {
      // At most two digits of exponent: more of them are never exact.
      guard let written = Int(text(index + 1..<range.upperBound, max: 4)) else { return nil }
      exponent += written
    }
    guard exponent.magnitude < Self.exactPowers.count else { return nil }
    let power = Self.exactPowers[Int(exponent.magnitude)]
    let value = exponent < 0 ? Double(digits) / power : Double(digits) * power
    return negative ? -value : value
  }

  // MARK: Strings

  @_lifetime(self: copy self)
  internal mutating func readString() throws(JSONError) -> String {
    let start = offset
    return try string(try passString(), at: start)
  }

  /// What a string means.
  internal func string(_ token: JSONText, at start: Int) throws(JSONError) -> String {
    let text: String?
    if token.isEscaped {
      var unescaped = ByteQueue()
      try appendUnescaped(token, to: &unescaped)
      text = String(validating: unescaped.bytes, from: 0, count: unescaped.count)
    } else {
      text = String(validating: bytes, from: token.range.lowerBound, count: token.range.count)
    }
    guard let text else { throw JSONError("a string is not valid UTF-8", at: start) }
    return text
  }

  /// Passes over a string, checking its form: neither that it is UTF-8, nor that its surrogates come in pairs.
  @_lifetime(self: copy self)
  internal mutating func passString() throws(JSONError) -> JSONText {
    let start = offset
    offset += 1
    var isEscaped = false
    while true {
      switch current {
      case nil: throw JSONError("a string that does not end", at: start)
      case UInt8(ascii: "\""):
        offset += 1
        return JSONText(range: start + 1..<offset - 1, isEscaped: isEscaped)
      case UInt8(ascii: "\\"):
        isEscaped = true
        try passEscape()
      case .some(0..<0x20):
        throw JSONError("\(found(at: offset)) in a string must be escaped", at: offset)
      default: offset += 1
      }
    }
  }

  @_lifetime(self: copy self)
  private mutating func passEscape() throws(JSONError) {
    let start = offset
    offset += 1
    switch current {
    case UInt8(ascii: "u"):
      offset += 1
      _ = try readHex(of: start)
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"), UInt8(ascii: "b"), UInt8(ascii: "f"),
      UInt8(ascii: "n"), UInt8(ascii: "r"), UInt8(ascii: "t"):
      offset += 1
    default: throw JSONError("no such escape, write \\\\ for a backslash", at: start)
    }
  }

  /// Appends what a string means. Throws where half a surrogate pair stands in it.
  internal func appendUnescaped(_ text: JSONText, to queue: inout ByteQueue) throws(JSONError) {
    var reader = self
    reader.offset = text.range.lowerBound
    var run = reader.offset
    while reader.offset < text.range.upperBound {
      guard reader.byte(at: reader.offset) == UInt8(ascii: "\\") else {
        reader.offset += 1
        continue
      }
      queue.append(bytes.extracting(run..<reader.offset))
      try reader.readEscape(into: &queue)
      run = reader.offset
    }
    queue.append(bytes.extracting(run..<text.range.upperBound))
  }

  /// Whether a string means this short text.
  internal func means(_ text: JSONText, _ wanted: String) -> Bool {
    guard text.isEscaped else { return self.text(text.range, max: 64).hasSameUTF8(as: wanted) }
    // An escape is six bytes for one at most.
    guard text.range.count <= 6 * wanted.utf8.count else { return false }
    var queue = ByteQueue()
    guard (try? appendUnescaped(text, to: &queue)) != nil else { return false }
    return queue.text.hasSameUTF8(as: wanted)
  }

  /// Reads an escape whose form was checked.
  @_lifetime(self: copy self)
  private mutating func readEscape(into queue: inout ByteQueue) throws(JSONError) {
    let start = offset
    let letter = byte(at: offset + 1)
    offset += 2
    switch letter {
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
    default: queue.append(letter)
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

  @inline(__always)
  internal var current: UInt8? {
    offset < bytes.byteCount ? byte(at: offset) : nil
  }

  @inline(__always)
  internal func byte(at index: Int) -> UInt8 {
    precondition(index >= 0 && index < bytes.byteCount)
    return unsafe bytes.unsafeLoad(fromByteOffset: index, as: UInt8.self)
  }

  @_lifetime(self: copy self)
  @inline(__always)
  internal mutating func skipSpace() {
    while let byte = current, byte == 0x20 || byte == 0x0a || byte == 0x0d || byte == 0x09 { offset += 1 }
  }

  /// Whether a letter, a digit or the like stands at `index`, which would make one word with what precedes.
  internal func isWord(at index: Int) -> Bool {
    guard index < bytes.byteCount else { return false }
    switch byte(at: index) {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
      UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "."), 0x80...0xff:
      return true
    default: return false
    }
  }

  /// Bytes as text; a character that is cut or wrong becomes U+FFFD.
  internal func text(_ range: Range<Int>, max: Int = .max) -> String {
    let count = Swift.min(range.count, max)
    let text = unsafe bytes.extracting(range.lowerBound..<range.lowerBound + count).withUnsafeBytes {
      unsafe String(decoding: $0, as: UTF8.self)
    }
    return count < range.count ? text + "…" : text
  }

  /// The start of what stands at `range`, where it may be long.
  internal func excerpt(_ range: Range<Int>) -> String { text(range, max: 40) }

  /// What stands at `index`, as an error message names it.
  internal func found(at index: Int) -> String {
    guard index < bytes.byteCount else { return "the end" }
    let byte = byte(at: index)
    return (0x20..<0x7f).contains(byte)
      ? "'\(Character(Unicode.Scalar(byte)))'" : "byte 0x\(byte < 16 ? "0" : "")\(String(byte, radix: 16))"
  }
}
