import Foundation
import RPCWire
import Testing

/// The test vectors of Docs/PROTOCOL.md: its fenced blocks marked `vector`.
struct VectorDocument {
  /// One block: its kind (`frame`), its name where it has one, and its rows.
  struct Block: Sendable, CustomTestStringConvertible {
    var kind: String
    var name: String
    var rows: [Row]
    /// All rows' bytes.
    var bytes: [UInt8] { rows.flatMap(\.bytes) }
    var testDescription: String { "\(kind) \(name)" }
  }

  /// Bytes and what they mean; a row without a meaning goes on with the one above.
  struct Row: Sendable, CustomTestStringConvertible {
    var bytes: [UInt8]
    var meaning: String
    var testDescription: String { meaning }
  }

  static let blocks: [Block] = {
    let file = URL(filePath: #filePath).deletingLastPathComponent()
      .appending(path: "../../Docs/PROTOCOL.md")
    guard let text = try? String(contentsOf: file, encoding: .utf8) else { return [] }
    return parse(text)
  }()

  static func rows(_ kind: String) -> [Row] { blocks.filter { $0.kind == kind }.flatMap(\.rows) }

  static func parse(_ text: String) -> [Block] {
    var blocks: [Block] = []
    var open: Block?
    for line in text.split(separator: "\n", omittingEmptySubsequences: false) {
      if line.hasPrefix("```vector ") {
        let words = line.split(separator: " ")
        open = Block(kind: String(words[1]), name: words.count > 2 ? String(words[2]) : "", rows: [])
      } else if line == "```", let block = open {
        blocks.append(block)
        open = nil
      } else if open != nil {
        let parts = line.split(separator: "|", maxSplits: 1, omittingEmptySubsequences: false)
        let bytes = parts[0].split(separator: " ").compactMap { UInt8($0, radix: 16) }
        let meaning = parts.count > 1 ? parts[1].trimmingCharacters(in: .whitespaces) : ""
        if meaning.isEmpty, open?.kind != "frame", let last = open?.rows.indices.last {
          open?.rows[last].bytes += bytes
        } else {
          open?.rows.append(Row(bytes: bytes, meaning: meaning))
        }
      }
    }
    return blocks
  }
}

/// Reads the values of the document's notation: Python's, with `h"00ff"` for bytes.
struct ValueNotation {
  private var rest: Substring

  static func parse(_ text: String) -> Value? {
    var notation = ValueNotation(rest: text[...])
    let value = notation.value()
    return notation.rest.isEmpty ? value : nil
  }

  private mutating func value() -> Value? {
    for (word, value): (String, Value) in [
      ("None", .null), ("True", .bool(true)), ("False", .bool(false)), ("nan", .float(.nan)),
      ("inf", .float(.infinity)), ("-inf", .float(-.infinity)),
    ] where take(word) {
      return value
    }
    if take("h") { return hexadecimal() }
    if rest.first == "\"" { return string().map { .string($0) } }
    if take("[") { return sequence(until: "]") { $0.value() }.map { .list($0) } }
    if take("{") {
      return sequence(until: "}") { notation in
        guard let key = notation.string(), notation.take(": "), let value = notation.value() else {
          return nil
        }
        return Value.Entry(key, value)
      }.map { .map($0) }
    }
    let number = rest.prefix { !",]}".contains($0) }
    rest = rest.dropFirst(number.count)
    if let int = Int64(number) { return .int(int) }
    return Double(number).map { .float($0) }
  }

  private mutating func take(_ word: String) -> Bool {
    guard rest.hasPrefix(word) else { return false }
    rest = rest.dropFirst(word.count)
    return true
  }

  private mutating func hexadecimal() -> Value? {
    guard let digits = string() else { return nil }
    return .bytes(
      stride(from: 0, to: digits.count, by: 2).compactMap {
        UInt8(digits.dropFirst($0).prefix(2), radix: 16)
      })
  }

  private mutating func string() -> String? {
    guard take("\"") else { return nil }
    var text = String.UnicodeScalarView()
    while let scalar = rest.unicodeScalars.popFirst() {
      switch scalar {
      case "\"": return String(text)
      case "\\":
        switch rest.unicodeScalars.popFirst() {
        case "n": text.append("\n")
        case "t": text.append("\t")
        case "u":
          guard let code = UInt32(rest.prefix(4), radix: 16), let scalar = Unicode.Scalar(code) else {
            return nil
          }
          rest = rest.dropFirst(4)
          text.append(scalar)
        case let other?: text.append(other)
        case nil: return nil
        }
      default: text.append(scalar)
      }
    }
    return nil
  }

  private mutating func sequence<Element>(
    until end: String, _ element: (inout ValueNotation) -> Element?
  ) -> [Element]? {
    var elements: [Element] = []
    if take(end) { return elements }
    repeat {
      guard let next = element(&self) else { return nil }
      elements.append(next)
    } while take(", ")
    return take(end) ? elements : nil
  }
}
