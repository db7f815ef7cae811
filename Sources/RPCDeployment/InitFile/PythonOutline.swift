/// Finds what a Python module defines: functions, classes, assignments and imports that are not inside a
/// function or class. A scan of lines, not a parser: what it cannot tell, it leaves open.
package enum PythonOutline {
  package static func read(_ bytes: [UInt8]) -> SourceOutline {
    var outline = SourceOutline(names: [], isComplete: true)
    // The indentation of the functions and classes that the line stands in.
    var enclosing: [Int] = []
    for line in logicalLines(bytes) {
      while let last = enclosing.last, last >= line.indent { enclosing.removeLast() }
      guard enclosing.isEmpty else { continue }
      if define(line.text, &outline) { enclosing.append(line.indent) }
    }
    return outline
  }

  private struct Line {
    var indent: Int
    /// Without comments and the content of strings.
    var text: String
  }

  /// Adds what a statement defines. Returns whether it opens a function or class.
  private static func define(_ text: String, _ outline: inout SourceOutline) -> Bool {
    var words = text.split { !isWord($0) }.map(String.init)
    guard let first = words.first else { return false }
    if first == "async", words.count > 1, words[1] == "def" { words.removeFirst() }
    switch words[0] {
    case "def", "class":
      if words.count > 1 { outline.names.insert(words[1]) }
      return true
    case "import", "from":
      imports(text, &outline)
    case "if", "elif", "else", "try", "except", "finally", "with", "for", "while", "match", "case":
      // What follows its colon on the same line is not looked into.
      if !text.hasSuffix(":") { outline.isComplete = false }
    default:
      for statement in text.split(separator: ";") { assignments(String(statement), &outline) }
    }
    let reachesIntoTheModule = ["globals", "exec", "setattr", "vars", "__getattr__"]
    if words.contains(where: reachesIntoTheModule.contains) { outline.isComplete = false }
    return false
  }

  private static func imports(_ text: String, _ outline: inout SourceOutline) {
    guard let list = text.split(separator: "import", maxSplits: 1).last else { return }
    for item in list.split(separator: ",") {
      if item.contains("*") || item.contains(";") { outline.isComplete = false }
      let words = item.split { !isWord($0) && $0 != "." }
      if let alias = words.firstIndex(of: "as"), alias + 1 < words.count {
        outline.names.insert(String(words[alias + 1]))
      } else if let name = words.first?.split(separator: ".").first {
        outline.names.insert(String(name))
      }
    }
  }

  /// The targets of `a = b, c = value`: everything before the last plain `=` outside brackets.
  private static func assignments(_ text: String, _ outline: inout SourceOutline) {
    var depth = 0
    var target = ""
    let characters = Array(text)
    for (index, character) in characters.enumerated() {
      switch character {
      case "(", "[", "{": depth += 1
      case ")", "]", "}": depth -= 1
      case "=" where depth == 0:
        let before = index > 0 ? characters[index - 1] : " "
        let after = index + 1 < characters.count ? characters[index + 1] : " "
        if after == "=" || "=<>!:+-*/%&|^@".contains(before) { return }
        for name in target.split(separator: ",") {
          let plain = name.prefix { $0 != ":" }.filter { $0 != " " && $0 != "*" && $0 != "\t" }
          if !plain.isEmpty, plain.allSatisfy(isWord) { outline.names.insert(plain) }
        }
        target = ""
        continue
      default: break
      }
      if depth == 0 { target.append(character) }
    }
  }

  private static func isWord(_ character: Character) -> Bool {
    character == "_" || character.isLetter || character.isNumber
  }

  // MARK: Lines

  /// Lines with their continuations joined, comments removed and strings emptied.
  private static func logicalLines(_ bytes: [UInt8]) -> [Line] {
    var lines: [Line] = []
    var text: [UInt8] = []
    var indent: Int? = nil
    var spaces = 0
    var depth = 0
    var index = 0
    func at(_ position: Int) -> UInt8 { position < bytes.count ? bytes[position] : 0 }
    func end() {
      if let indent {
        let trimmed = text.reversed().drop { $0 == 0x20 || $0 == 0x09 }.reversed()
        lines.append(Line(indent: indent, text: String(decoding: Array(trimmed), as: UTF8.self)))
      }
      text.removeAll()
      indent = nil
      spaces = 0
    }
    while index < bytes.count {
      let byte = bytes[index]
      switch byte {
      case UInt8(ascii: "#"):
        while index < bytes.count, bytes[index] != 0x0a { index += 1 }
        continue
      case UInt8(ascii: "\\") where at(index + 1) == 0x0a:
        index += 2
        continue
      case 0x0a, 0x0d:
        if depth > 0 { text.append(0x20) } else { end() }
      case UInt8(ascii: "'"), UInt8(ascii: "\""):
        indent = indent ?? spaces
        text += [byte, byte]
        index = endOfString(bytes, index)
        continue
      case 0x20 where indent == nil: spaces += 1
      case 0x09 where indent == nil: spaces = (spaces / 8 + 1) * 8
      default:
        indent = indent ?? spaces
        if [UInt8(ascii: "("), UInt8(ascii: "["), UInt8(ascii: "{")].contains(byte) { depth += 1 }
        if [UInt8(ascii: ")"), UInt8(ascii: "]"), UInt8(ascii: "}")].contains(byte) {
          depth = max(0, depth - 1)
        }
        text.append(byte)
      }
      index += 1
    }
    end()
    return lines
  }

  /// Behind the string that begins with the quote at `start`.
  private static func endOfString(_ bytes: [UInt8], _ start: Int) -> Int {
    let quote = bytes[start]
    let isTriple = start + 2 < bytes.count && bytes[start + 1] == quote && bytes[start + 2] == quote
    var index = start + (isTriple ? 3 : 1)
    while index < bytes.count {
      switch bytes[index] {
      case UInt8(ascii: "\\"): index += 1
      case quote where !isTriple: return index + 1
      case quote where index + 2 < bytes.count && bytes[index + 1] == quote && bytes[index + 2] == quote:
        return index + 3
      case 0x0a where !isTriple: return index
      default: break
      }
      index += 1
    }
    return bytes.count
  }
}
