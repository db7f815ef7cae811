/// Finds what a Lua chunk defines: global functions, assignments that are not local, and fields of tables,
/// one of which may be what the chunk returns. A scan of tokens, not a parser: what it cannot tell, it leaves
/// open.
package enum LuaOutline {
  private enum Token: Equatable {
    case word(String)
    case string(String)
    case symbol(UInt8)
    /// `==`, `<=`, `>=`, `~=`: no assignment.
    case comparison
  }

  /// Each gives a chunk global names that it need not spell.
  private static let dynamicWords: Set<String> = [
    "_ENV", "_G", "debug", "dofile", "load", "loadfile", "loadstring", "require",
  ]

  package static func read(_ bytes: [UInt8]) -> SourceOutline {
    let tokens = tokens(bytes)
    var outline = SourceOutline(words: SourceOutline.words(in: bytes))
    outline.mayDefineOthers = !outline.words.isDisjoint(with: dynamicWords)
    func token(_ index: Int) -> Token? { tokens.indices.contains(index) ? tokens[index] : nil }
    func isSymbol(_ index: Int, _ characters: String) -> Bool {
      guard case .symbol(let byte)? = token(index) else { return false }
      return characters.utf8.contains(byte)
    }
    for (index, current) in tokens.enumerated() {
      switch current {
      case .word("function"):
        guard token(index - 1) != .word("local") else { continue }
        // `function a.b:c(`: the last name is the one that is defined.
        var next = index + 1
        var name: String?
        while case .word(let word)? = token(next) {
          name = word
          guard isSymbol(next + 1, ".:") else { break }
          next += 2
        }
        if let name { outline.names.insert(name) }
      case .word(let name):
        guard isSymbol(index + 1, "=") || isSymbol(index + 1, ",") else { continue }
        if assigns(index, token) { outline.names.insert(name) }
      case .string(let text):
        if isSymbol(index - 1, "["), isSymbol(index + 1, "]"), isSymbol(index + 2, "=") {
          outline.names.insert(text)
        }
      default: break
      }
    }
    return outline
  }

  /// Whether the name at `index` is in a list of names before `=` that neither `local` nor `for` opens.
  private static func assigns(_ index: Int, _ token: (Int) -> Token?) -> Bool {
    var end = index + 1
    while token(end) == .symbol(UInt8(ascii: ",")), case .word? = token(end + 1) { end += 2 }
    guard token(end) == .symbol(UInt8(ascii: "=")) else { return false }
    var start = index
    while token(start - 1) == .symbol(UInt8(ascii: ",")), case .word? = token(start - 2) { start -= 2 }
    return token(start - 1) != .word("local") && token(start - 1) != .word("for")
  }

  // MARK: Tokens

  private static func tokens(_ bytes: [UInt8]) -> [Token] {
    var tokens: [Token] = []
    var index = 0
    func at(_ position: Int) -> UInt8 { position < bytes.count ? bytes[position] : 0 }
    if bytes.starts(with: [0xef, 0xbb, 0xbf]) { index = 3 }
    // A first line such as `#!/usr/bin/lua` is none of Lua's.
    if at(index) == UInt8(ascii: "#") { while index < bytes.count, bytes[index] != 0x0a { index += 1 } }
    while index < bytes.count {
      let byte = bytes[index]
      if byte == UInt8(ascii: "-"), at(index + 1) == byte {
        index = endOfLongBracket(bytes, index + 2) ?? endOfLine(bytes, index)
      } else if byte == UInt8(ascii: "["), let end = endOfLongBracket(bytes, index) {
        tokens.append(.string(""))
        index = end
      } else if byte == UInt8(ascii: "'") || byte == UInt8(ascii: "\"") {
        let end = endOfString(bytes, index)
        tokens.append(.string(String(decoding: bytes[(index + 1)..<max(index + 1, end - 1)], as: UTF8.self)))
        index = end
      } else if SourceOutline.isWord(byte) {
        let start = index
        while index < bytes.count, SourceOutline.isWord(bytes[index]) { index += 1 }
        tokens.append(.word(String(decoding: bytes[start..<index], as: UTF8.self)))
      } else if "=<>~".utf8.contains(byte), at(index + 1) == UInt8(ascii: "=") {
        tokens.append(.comparison)
        index += 2
      } else {
        if byte > 0x20 { tokens.append(.symbol(byte)) }
        index += 1
      }
    }
    return tokens
  }

  private static func endOfLine(_ bytes: [UInt8], _ start: Int) -> Int {
    bytes[start...].firstIndex(of: 0x0a) ?? bytes.count
  }

  private static func endOfString(_ bytes: [UInt8], _ start: Int) -> Int {
    var index = start + 1
    while index < bytes.count {
      if bytes[index] == UInt8(ascii: "\\") {
        index += 2
        continue
      }
      if bytes[index] == bytes[start] { return index + 1 }
      if bytes[index] == 0x0a { return index }
      index += 1
    }
    return bytes.count
  }

  /// Behind `[[…]]`, `[=[…]=]` and so on, or nil where none begins at `start`.
  private static func endOfLongBracket(_ bytes: [UInt8], _ start: Int) -> Int? {
    guard start < bytes.count, bytes[start] == UInt8(ascii: "[") else { return nil }
    var level = 0
    var index = start + 1
    while index < bytes.count, bytes[index] == UInt8(ascii: "=") {
      level += 1
      index += 1
    }
    guard index < bytes.count, bytes[index] == UInt8(ascii: "[") else { return nil }
    let close =
      [UInt8(ascii: "]")] + [UInt8](repeating: UInt8(ascii: "="), count: level) + [UInt8(ascii: "]")]
    index += 1
    while index + close.count <= bytes.count {
      if bytes[index] == close[0], Array(bytes[index..<index + close.count]) == close {
        return index + close.count
      }
      index += 1
    }
    return bytes.count
  }
}
