/// A piece of a Python statement.
enum PythonToken: Equatable {
  case word(String)
  /// `:=`
  case walrus
  /// `==`, `+=` and the like: an `=` that assigns no new name.
  case comparison
  /// A string, whatever is in it.
  case string
  case symbol(UInt8)

  var word: String? { if case .word(let text) = self { text } else { nil } }

  /// `(` or `[`, which after a value call it or take a part of it.
  var opensBracket: Bool {
    self == .symbol(UInt8(ascii: "(")) || self == .symbol(UInt8(ascii: "["))
  }

  /// Whether a value may end here.
  var endsValue: Bool {
    switch self {
    case .word, .string, .symbol(UInt8(ascii: ")")), .symbol(UInt8(ascii: "]")): true
    default: false
    }
  }

  /// How much deeper in brackets what follows is.
  var nesting: Int {
    switch self {
    case .symbol(UInt8(ascii: "(")), .symbol(UInt8(ascii: "[")), .symbol(UInt8(ascii: "{")): 1
    case .symbol(UInt8(ascii: ")")), .symbol(UInt8(ascii: "]")), .symbol(UInt8(ascii: "}")): -1
    default: 0
    }
  }
}

/// A logical line of Python: with what brackets and backslashes continue, without comments and the content of
/// strings.
struct PythonLine {
  var indent: Int
  var tokens: [PythonToken] = []
  /// Whether its code has letters beyond ASCII.
  var hasOtherLetters = false

  static func lines(of source: [UInt8]) -> [PythonLine] {
    var scanner = PythonScanner(bytes: withPlainLineEnds(source))
    return scanner.lines()
  }

  /// Python takes CR LF and CR for LF, everywhere.
  private static func withPlainLineEnds(_ source: [UInt8]) -> [UInt8] {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(source.count)
    var index = source.starts(with: [0xef, 0xbb, 0xbf]) ? 3 : 0
    while index < source.count {
      if source[index] == 0x0d {
        bytes.append(0x0a)
        if index + 1 < source.count, source[index + 1] == 0x0a { index += 1 }
      } else {
        bytes.append(source[index])
      }
      index += 1
    }
    return bytes
  }
}

private struct PythonScanner {
  let bytes: [UInt8]
  private var index = 0
  private var found: [PythonLine] = []
  private var line: PythonLine?
  private var spaces = 0
  private var depth = 0

  init(bytes: [UInt8]) { self.bytes = bytes }

  private func at(_ position: Int) -> UInt8 { position < bytes.count ? bytes[position] : 0 }

  mutating func lines() -> [PythonLine] {
    while index < bytes.count {
      let byte = bytes[index]
      switch byte {
      case UInt8(ascii: "#"):
        while index < bytes.count, bytes[index] != 0x0a { index += 1 }
        continue
      case UInt8(ascii: "\\") where at(index + 1) == 0x0a:
        index += 2
        continue
      case 0x0a:
        if depth == 0 { end() }
      case 0x20, 0x0c:
        if line == nil { spaces += 1 }
      case 0x09:
        if line == nil { spaces = (spaces / 8 + 1) * 8 }
      case UInt8(ascii: "'"), UInt8(ascii: "\""):
        add(.string)
        index = endOfString(index)
        continue
      case _ where SourceOutline.isWord(byte) || byte >= 0x80:
        word()
        continue
      default: symbol(byte)
      }
      index += 1
    }
    end()
    return found
  }

  private mutating func add(_ token: PythonToken) {
    if line == nil { line = PythonLine(indent: spaces) }
    line?.tokens.append(token)
    depth = max(0, depth + token.nesting)
  }

  private mutating func end() {
    if let line { found.append(line) }
    line = nil
    spaces = 0
  }

  private mutating func word() {
    let start = index
    while index < bytes.count, SourceOutline.isWord(bytes[index]) || bytes[index] >= 0x80 { index += 1 }
    let word = bytes[start..<index]
    add(.word(String(decoding: word, as: UTF8.self)))
    if word.contains(where: { $0 >= 0x80 }) { line?.hasOtherLetters = true }
  }

  private mutating func symbol(_ byte: UInt8) {
    let next = at(index + 1)
    if next == UInt8(ascii: "="), byte == UInt8(ascii: ":") {
      add(.walrus)
      index += 1
    } else if next == UInt8(ascii: "="), "=<>!+-*/%&|^@".utf8.contains(byte) {
      add(.comparison)
      index += 1
    } else {
      add(.symbol(byte))
    }
  }

  /// Behind the string that begins with the quote at `start`.
  private func endOfString(_ start: Int) -> Int {
    let quote = bytes[start]
    let isTriple = at(start + 1) == quote && at(start + 2) == quote
    var index = start + (isTriple ? 3 : 1)
    while index < bytes.count {
      switch bytes[index] {
      case UInt8(ascii: "\\"): index += 1
      case quote where !isTriple: return index + 1
      case quote where at(index + 1) == quote && at(index + 2) == quote: return index + 3
      case 0x0a where !isTriple: return index
      default: break
      }
      index += 1
    }
    return bytes.count
  }
}
