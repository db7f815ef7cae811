import RPCWire

/// Values in the shell's own notation: what is printed can be typed again and means the same.
enum ValueText {
  /// On one line.
  static func text(_ value: Value) -> String {
    switch value {
    case .null: "None"
    case .bool(let value): value ? "true" : "false"
    case .int(let value): String(value)
    case .float(let value): "\(value)"
    case .string(let value): quoted(value)
    case .bytes(let value): quoted(value)
    case .list(let values): "[" + values.map(text).joined(separator: ", ") + "]"
    case .map(let entries):
      "{" + entries.map { quoted($0.key) + ": " + text($0.value) }.joined(separator: ", ") + "}"
    }
  }

  /// The start of `text(value)`, `width` columns of it; costs what is shown, however much the value holds.
  static func excerpt(_ value: Value, width: Int) -> String {
    var out = ""
    // A character that takes no column costs all the same.
    let isWhole = append(value, to: &out, bytesMax: 4 * width + 16)
    let cut = TextWidth.cut(out, to: width)
    return isWhole || cut.hasSuffix("…") ? cut : TextWidth.cut(out + "…", to: width)
  }

  /// False when there was more than `bytesMax`.
  private static func append(_ value: Value, to out: inout String, bytesMax: Int) -> Bool {
    switch value {
    case .list(let values):
      out += "["
      for (index, value) in values.enumerated() {
        guard out.utf8.count <= bytesMax else { return false }
        if index > 0 { out += ", " }
        guard append(value, to: &out, bytesMax: bytesMax) else { return false }
      }
      out += "]"
    case .map(let entries):
      out += "{"
      for (index, entry) in entries.enumerated() {
        guard out.utf8.count <= bytesMax else { return false }
        if index > 0 { out += ", " }
        out += quoted(String(entry.key.prefix(bytesMax))) + ": "
        guard append(entry.value, to: &out, bytesMax: bytesMax) else { return false }
      }
      out += "}"
    case .string(let text) where text.utf8.count > bytesMax:
      out += quoted(String(text.unicodeScalars.prefix(bytesMax))).dropLast()
      return false
    case .bytes(let bytes) where bytes.count > bytesMax:
      out += quoted(Array(bytes.prefix(bytesMax))).dropLast()
      return false
    default: out += text(value)
    }
    return true
  }

  /// A result for people: a text stands without quotes where it cannot be taken for anything else.
  static func shown(_ value: Value, width: Int) -> String {
    if case .string(let text) = value, isPlain(text) { return text }
    let line = text(value)
    if TextWidth.columns(line) <= width { return line }
    return broken(value, indent: 0, width: width)
  }

  /// A result for programs: texts verbatim, everything else as JSON.
  static func raw(_ value: Value) -> String {
    switch value {
    case .string(let text): text
    case .null: "null"
    case .float(let value): "\(value)"
    default: value.json
    }
  }

  /// Over several lines, one element each, where one line is too narrow.
  private static func broken(_ value: Value, indent: Int, width: Int) -> String {
    let line = text(value)
    if indent + TextWidth.columns(line) <= width { return line }
    let inner = String(repeating: " ", count: indent + 2)
    let outer = String(repeating: " ", count: indent)
    switch value {
    case .list(let values) where !values.isEmpty:
      // Many short elements flow, so that a thousand numbers are not a thousand lines.
      if values.allSatisfy(isScalar) { return "[\n" + flowed(values.map(text), inner, width) + "\n\(outer)]" }
      let rows = values.map { inner + broken($0, indent: indent + 2, width: width) }
      return "[\n" + rows.joined(separator: ",\n") + "\n\(outer)]"
    case .map(let entries) where !entries.isEmpty:
      let rows = entries.map { entry in
        let key = quoted(entry.key) + ": "
        return inner + key + broken(entry.value, indent: indent + 2, width: width)
      }
      return "{\n" + rows.joined(separator: ",\n") + "\n\(outer)}"
    default: return line
    }
  }

  private static func flowed(_ parts: [String], _ indent: String, _ width: Int) -> String {
    var lines: [String] = []
    var line = indent
    var columns = indent.count
    for (index, part) in parts.enumerated() {
      let piece = part + (index + 1 < parts.count ? ", " : "")
      let wide = TextWidth.columns(piece)
      if columns > indent.count, columns + wide > width {
        lines.append(line)
        line = indent
        columns = indent.count
      }
      line += piece
      columns += wide
    }
    lines.append(line)
    return lines.joined(separator: "\n")
  }

  private static func isScalar(_ value: Value) -> Bool {
    switch value {
    case .list, .map: false
    default: true
    }
  }

  /// Whether a text, standing alone, cannot be mistaken for another value or for several lines of output.
  static func isPlain(_ text: String) -> Bool {
    guard let first = text.utf8.first, !"\"'[{$@".utf8.contains(first), text != "_", text != "-" else {
      return false
    }
    guard BareText.number(text) == nil, BareText.bool(text) == nil, !BareText.isNone(text) else {
      return false
    }
    guard text.first != " ", text.last != " " else { return false }
    return text.unicodeScalars.allSatisfy { isPrintable($0) || $0 == "\n" || $0 == "\t" }
  }

  static func isPrintable(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.properties.generalCategory {
    case .control, .format, .surrogate, .privateUse, .unassigned, .lineSeparator, .paragraphSeparator: false
    default: true
    }
  }

  static func quoted(_ text: String) -> String {
    var out = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"": out += "\\\""
      case "\\": out += "\\\\"
      case "\n": out += "\\n"
      case "\t": out += "\\t"
      case "\r": out += "\\r"
      case _ where isPrintable(scalar): out.unicodeScalars.append(scalar)
      case _ where scalar.value < 0x100: out += "\\x" + hex(scalar.value, digits: 2)
      // A joiner inside an emoji is what makes it one.
      case "\u{200d}", "\u{200c}", "\u{fe0f}": out.unicodeScalars.append(scalar)
      case _ where scalar.value < 0x10000: out += "\\u" + hex(scalar.value, digits: 4)
      default: out += "\\U" + hex(scalar.value, digits: 8)
      }
    }
    return out + "\""
  }

  static func quoted(_ bytes: [UInt8]) -> String {
    var out = "b\""
    for byte in bytes {
      switch byte {
      case .doubleQuote: out += "\\\""
      case .backslash: out += "\\\\"
      case .newline: out += "\\n"
      case .tab: out += "\\t"
      case .carriageReturn: out += "\\r"
      case 0x20..<0x7f: out.unicodeScalars.append(Unicode.Scalar(byte))
      default: out += "\\x" + hex(UInt32(byte), digits: 2)
      }
    }
    return out + "\""
  }

  private static func hex(_ value: UInt32, digits: Int) -> String {
    let text = String(value, radix: 16)
    return String(repeating: "0", count: max(0, digits - text.count)) + text
  }
}
