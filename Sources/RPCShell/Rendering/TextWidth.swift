import CLibEdit

/// How many columns of a terminal a text takes: the C library's table, which the line editor uses too. The
/// program must have chosen a UTF-8 locale.
enum TextWidth {
  static func columns(_ text: String) -> Int {
    if text.utf8.allSatisfy({ $0 >= 0x20 && $0 < 0x7f }) { return text.utf8.count }
    return text.unicodeScalars.reduce(0) { $0 + columns($1) }
  }

  static func columns(_ scalar: Unicode.Scalar) -> Int {
    if scalar.value >= 0x20, scalar.value < 0x7f { return 1 }
    return max(0, Int(rpc_columns(scalar.value)))
  }

  /// The text cut to a width, with `…` where something was cut off.
  static func cut(_ text: String, to width: Int) -> String {
    guard columns(text) > width else { return text }
    guard width > 1 else { return width == 1 ? "…" : "" }
    var out = ""
    var used = 0
    for scalar in text.unicodeScalars {
      let wide = columns(scalar)
      if used + wide > width - 1 { break }
      out.unicodeScalars.append(scalar)
      used += wide
    }
    return out + "…"
  }

  static func padded(_ text: String, to width: Int, right: Bool = false) -> String {
    let padding = String(repeating: " ", count: max(0, width - columns(text)))
    return right ? padding + text : text + padding
  }

  /// The text in rows of at most `width` columns, broken between words where there are any.
  static func wrapped(_ text: String, to width: Int) -> [String] {
    var rows: [String] = []
    var row = ""
    for word in text.split(separator: " ") {
      if !row.isEmpty, columns(row) + 1 + columns(String(word)) > width {
        rows.append(row)
        row = ""
      }
      row += (row.isEmpty ? "" : " ") + word
    }
    return rows + [row]
  }

  /// A line that stands behind `indent` columns, broken between words where it does not fit, its further rows below its
  /// first; nil, or hardly any room, breaks nothing.
  static func hanging(_ line: String, indent: Int, width: Int?) -> String {
    guard let width, width - indent >= 20, columns(line) > width - indent else { return line }
    return wrapped(line, to: width - indent).joined(separator: "\n" + String(repeating: " ", count: indent))
  }

  /// The lines of a text, each broken wherever it reaches `width` columns; nil breaks nothing.
  static func broken(_ text: String, to width: Int?) -> [String] {
    let lines = text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
    guard let width else { return lines }
    return lines.flatMap { line -> [String] in
      guard columns(line) > width else { return [line] }
      var rows: [String] = []
      var row = ""
      var used = 0
      for scalar in line.unicodeScalars {
        let wide = columns(scalar)
        if used + wide > width, used > 0 {
          rows.append(row)
          row = ""
          used = 0
        }
        row.unicodeScalars.append(scalar)
        used += wide
      }
      return rows + [row]
    }
  }

  /// Control characters made visible, so that nothing a server sends can steer the terminal.
  static func harmless(_ text: String) -> String {
    if text.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7f && $0 < 0xc2 || $0 > 0xc2 || $0 == 0x0a || $0 == 0x09 }
    ) {
      return text
    }
    var out = ""
    for scalar in text.unicodeScalars {
      switch scalar.value {
      case 0x09, 0x0a: out.unicodeScalars.append(scalar)
      case 0..<0x20: out.unicodeScalars.append(Unicode.Scalar(0x2400 + scalar.value) ?? "?")
      case 0x7f: out += "␡"
      case 0x80..<0xa0: out += "\u{fffd}"
      default: out.unicodeScalars.append(scalar)
      }
    }
    return out
  }
}
