/// The bytes that the shell's language gives a meaning.
extension UInt8 {
  static let tab: UInt8 = 0x09
  static let newline: UInt8 = 0x0a
  static let carriageReturn: UInt8 = 0x0d
  static let space: UInt8 = 0x20
  static let exclamation: UInt8 = 0x21
  static let doubleQuote: UInt8 = 0x22
  static let hash: UInt8 = 0x23
  static let dollar: UInt8 = 0x24
  static let ampersand: UInt8 = 0x26
  static let singleQuote: UInt8 = 0x27
  static let openParenthesis: UInt8 = 0x28
  static let closeParenthesis: UInt8 = 0x29
  static let comma: UInt8 = 0x2c
  static let minus: UInt8 = 0x2d
  static let dot: UInt8 = 0x2e
  static let colon: UInt8 = 0x3a
  static let equals: UInt8 = 0x3d
  static let greater: UInt8 = 0x3e
  static let at: UInt8 = 0x40
  static let openBracket: UInt8 = 0x5b
  static let backslash: UInt8 = 0x5c
  static let closeBracket: UInt8 = 0x5d
  static let underscore: UInt8 = 0x5f
  static let letterB: UInt8 = 0x62
  static let openBrace: UInt8 = 0x7b
  static let pipe: UInt8 = 0x7c
  static let closeBrace: UInt8 = 0x7d

  var isASCIILetter: Bool { (self | 0x20) >= 0x61 && (self | 0x20) <= 0x7a }
  var isASCIIDigit: Bool { self >= 0x30 && self <= 0x39 }
}

extension String {
  /// Without spaces, tabs and line ends at both sides.
  var trimmingSpaces: String {
    var slice = Substring(self)
    while let first = slice.first, first.isWhitespace { slice.removeFirst() }
    while let last = slice.last, last.isWhitespace { slice.removeLast() }
    return String(slice)
  }

  /// A letter or underscore followed by letters, digits and underscores.
  var isIdentifier: Bool {
    guard let first = utf8.first, !(first >= 0x30 && first <= 0x39) else { return false }
    return utf8.allSatisfy { $0.isASCIILetter || $0.isASCIIDigit || $0 == .underscore }
  }
}
