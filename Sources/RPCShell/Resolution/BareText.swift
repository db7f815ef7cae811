import RPCWire

/// The readings that unquoted text can have besides being text: `32`, `1.5`, `true`, `None`, in JSON's or Python's
/// spelling.
enum BareText {
  enum Number: Hashable {
    case int(Int64)
    /// Digits, but above 64 bits.
    case tooLarge
    case float(Double)
  }

  static func number(_ text: String) -> Number? {
    let utf8 = Array(text.utf8)
    guard let first = utf8.first else { return nil }
    let isSigned = first == .minus || first == UInt8(ascii: "+")
    let body = isSigned ? Array(utf8.dropFirst()) : utf8
    guard let lead = body.first else { return nil }
    guard lead.isASCIIDigit || lead == .dot else { return special(text, body) }
    if let integer = integer(body, negative: first == .minus) { return integer }
    // "1_000.5" and hexadecimal floats are nobody's habit: plain decimal only.
    guard body.allSatisfy({ $0.isASCIIDigit || ".eE+-".utf8.contains($0) }) else { return nil }
    return Double(text).map { .float($0) }
  }

  /// `inf` and `nan` in the spellings of Python and JavaScript.
  private static func special(_ text: String, _ body: [UInt8]) -> Number? {
    let negative = text.first == "-"
    switch String(decoding: body, as: UTF8.self) {
    case "inf", "Infinity", "infinity": return .float(negative ? -.infinity : .infinity)
    case "nan", "NaN": return .float(.nan)
    default: return nil
    }
  }

  /// Decimal, `0x`, `0o`, `0b`, with single underscores between digits. Nil for anything else.
  private static func integer(_ body: [UInt8], negative: Bool) -> Number? {
    var radix: UInt64 = 10
    var digits = body[...]
    if body.count > 2, body[0] == UInt8(ascii: "0") {
      switch body[1] | 0x20 {
      case UInt8(ascii: "x"): radix = 16
      case UInt8(ascii: "o"): radix = 8
      case UInt8(ascii: "b"): radix = 2
      default: break
      }
      if radix != 10 { digits = body[2...] }
    }
    var value: UInt64 = 0
    var overflow = false
    var previousIsDigit = false
    for byte in digits {
      if byte == .underscore, previousIsDigit {
        previousIsDigit = false
        continue
      }
      guard let digit = digitValue(byte), digit < radix else { return nil }
      let (product, wide) = value.multipliedReportingOverflow(by: radix)
      let (sum, carry) = product.addingReportingOverflow(digit)
      overflow = overflow || wide || carry
      value = sum
      previousIsDigit = true
    }
    guard previousIsDigit else { return nil }
    if overflow { return .tooLarge }
    if negative {
      return value <= UInt64(Int64.max) + 1 ? .int(Int64(truncatingIfNeeded: 0 &- value)) : .tooLarge
    }
    return Int64(exactly: value).map { .int($0) } ?? .tooLarge
  }

  private static func digitValue(_ byte: UInt8) -> UInt64? {
    switch byte {
    case 0x30...0x39: UInt64(byte - 0x30)
    case 0x41...0x46: UInt64(byte - 0x41 + 10)
    case 0x61...0x66: UInt64(byte - 0x61 + 10)
    default: nil
    }
  }

  static func bool(_ text: String) -> Bool? {
    switch text {
    case "true", "True": true
    case "false", "False": false
    default: nil
    }
  }

  static func isNone(_ text: String) -> Bool { text == "None" || text == "null" }

  /// Whether more letters could make this a value of `type`: no error while someone is still typing.
  static func couldBecome(_ type: ValueType, _ text: String) -> Bool {
    switch type {
    case .int, .float:
      if text.isEmpty || text == "-" || text == "+" || text == "$" { return true }
      if text.count <= 2, text.hasPrefix("0x") || text.hasPrefix("0b") || text.hasPrefix("0o") { return true }
      guard type == .float else { return false }
      let trimmed = text.last == "-" || text.last == "+" ? String(text.dropLast()) : text
      if trimmed.last == "e" || trimmed.last == "E" { return number(String(trimmed.dropLast())) != nil }
      let bare = text.hasPrefix("-") ? String(text.dropFirst()) : text
      return ["inf", "Infinity", "nan", "NaN"].contains { $0.hasPrefix(bare) }
    case .bool: return ["true", "True", "false", "False"].contains { $0.hasPrefix(text) }
    case .none: return ["None", "null"].contains { $0.hasPrefix(text) }
    case .optional(let wrapped): return couldBecome(.none, text) || couldBecome(wrapped, text)
    case .bytes, .list, .dict: return text.isEmpty || text == "b" || text == "$"
    case .string, .any, .unknown: return true
    }
  }
}
