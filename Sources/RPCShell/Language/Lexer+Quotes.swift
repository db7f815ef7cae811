/// Text in quotes, with the escapes of JSON and of Python.
extension Lexer {
  /// A quoted string at `offset`. Returns false when it is not closed.
  mutating func quoted() -> Bool {
    let start = offset
    guard let value = string(quote: bytes[offset], tokenStart: start) else { return false }
    tokens.append(Token(kind: .string(value), span: start..<offset))
    return true
  }

  mutating func quotedBytes() -> Bool {
    let start = offset
    guard let content = content(quote: bytes[offset + 1], at: offset + 1, tokenStart: start, asBytes: true)
    else { return false }
    tokens.append(Token(kind: .bytes(content), span: start..<offset))
    return true
  }

  mutating func string(quote: UInt8, tokenStart: Int) -> String? {
    guard let content = content(quote: quote, at: offset, tokenStart: tokenStart, asBytes: false) else {
      return nil
    }
    return String(decoding: content, as: UTF8.self)
  }

  /// What stands between two quotes, escapes of JSON and Python resolved. On return `offset` stands behind the
  /// closing quote, or at the end of the text when there is none.
  private mutating func content(quote: UInt8, at start: Int, tokenStart: Int, asBytes: Bool) -> [UInt8]? {
    var result: [UInt8] = []
    offset = start + 1
    while offset < bytes.count {
      let byte = bytes[offset]
      if byte == quote {
        offset += 1
        return result
      }
      if byte == .backslash {
        guard offset + 1 < bytes.count else { break }
        escape(asBytes: asBytes, to: &result)
      } else {
        result.append(byte)
        offset += 1
      }
    }
    offset = bytes.count
    let kind: OpenConstruct.Kind = quote == .doubleQuote ? .doubleQuote : .singleQuote
    open.append(OpenConstruct(kind: kind, span: tokenStart..<start + 1))
    return nil
  }

  private mutating func escape(asBytes: Bool, to result: inout [UInt8]) {
    let start = offset
    let byte = bytes[offset + 1]
    offset += 2
    switch byte {
    case UInt8(ascii: "n"): result.append(10)
    case UInt8(ascii: "t"): result.append(9)
    case UInt8(ascii: "r"): result.append(13)
    case UInt8(ascii: "b"): result.append(8)
    case UInt8(ascii: "f"): result.append(12)
    case UInt8(ascii: "a"): result.append(7)
    case UInt8(ascii: "v"): result.append(11)
    case UInt8(ascii: "e"): result.append(27)
    case UInt8(ascii: "0"): result.append(0)
    case .backslash, .doubleQuote, .singleQuote, UInt8(ascii: "/"): result.append(byte)
    case .newline: break
    case UInt8(ascii: "x"):
      guard let value = hexNumber(digits: 2) else {
        return badEscape(start, "\\x needs two hexadecimal digits")
      }
      if asBytes { result.append(UInt8(value)) } else { append(value, to: &result) }
    case UInt8(ascii: "u"):
      guard let value = unicodeEscape() else {
        return badEscape(start, "\\u needs four hexadecimal digits of a valid character")
      }
      append(value, to: &result)
    case UInt8(ascii: "U"):
      guard let value = hexNumber(digits: 8), Unicode.Scalar(value) != nil else {
        return badEscape(start, "\\U needs eight hexadecimal digits of a valid character")
      }
      append(value, to: &result)
    default:
      // The offset may stand inside a character now: go on at its end.
      while offset < bytes.count, bytes[offset] & 0xc0 == 0x80 { offset += 1 }
      let text = String(decoding: bytes[start + 1..<offset], as: UTF8.self)
      badEscape(start, "unknown escape '\\\(text)'; write '\\\\' for a backslash")
    }
  }

  /// Four digits, or eight as the two halves of a surrogate pair (JSON).
  private mutating func unicodeEscape() -> UInt32? {
    guard let high = hexNumber(digits: 4) else { return nil }
    guard high & 0xf800 == 0xd800 else { return high }
    guard high < 0xdc00, peek(0) == .backslash, peek(1) == UInt8(ascii: "u") else { return nil }
    offset += 2
    guard let low = hexNumber(digits: 4), low & 0xfc00 == 0xdc00 else { return nil }
    return 0x10000 + (high - 0xd800) << 10 + (low - 0xdc00)
  }

  private mutating func hexNumber(digits: Int) -> UInt32? {
    guard offset + digits <= bytes.count else { return nil }
    var value: UInt32 = 0
    for index in offset..<offset + digits {
      guard let digit = Character(Unicode.Scalar(bytes[index])).hexDigitValue else { return nil }
      value = value << 4 | UInt32(digit)
    }
    offset += digits
    return value
  }

  private func append(_ scalar: UInt32, to result: inout [UInt8]) {
    guard let scalar = Unicode.Scalar(scalar) else { return }
    result.append(contentsOf: UTF8.encode(scalar)?.map { $0 } ?? [])
  }

  private mutating func badEscape(_ start: Int, _ message: String) {
    issues.append(Issue(start..<max(offset, start + 1), message, mayGoOn: offset == bytes.count))
  }
}
