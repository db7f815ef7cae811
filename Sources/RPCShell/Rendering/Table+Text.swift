/// When a table is shown as records, one line per column, instead of as rows.
enum ExpandedLayout: String, Hashable, Sendable, CaseIterable {
  /// Where the rows do not fit the terminal.
  case auto
  case on
  case off
}

extension Table {
  /// - Parameter width: columns of the terminal; nil where nothing is cut, as in a pipe.
  func text(style: Style, width: Int?, expanded: ExpandedLayout = .auto) -> String {
    guard !rows.isEmpty else { return style.paint(empty, .dim) + "\n" }
    if expanded == .on { return records(style, width) }
    let texts = rows.map { $0.map { Self.oneLine($0.text) } }
    let heads = columns.map { TextWidth.harmless($0.name.uppercased()) }
    var widths = heads.map { TextWidth.columns($0) }
    for row in texts {
      for (index, text) in row.enumerated() {
        let most = width == nil ? .max : columns[index].widthMax
        widths[index] = max(widths[index], min(TextWidth.columns(text), most))
      }
    }
    if let width, !shrink(&widths, to: width, heads: heads), expanded == .auto {
      return records(style, width)
    }
    var out = line(heads.map { ($0, TextRole.heading) }, widths, width, style)
    for (row, cells) in zip(texts, rows) {
      out += line(zip(row, cells).map { ($0, $1.role) }, widths, width, style)
    }
    return out
  }

  private static func oneLine(_ text: String) -> String {
    TextWidth.harmless(text).replacing("\n", with: "⏎").replacing("\t", with: " ")
  }

  /// Takes columns from the widest until the table fits, but keeps the headings whole. False when it cannot fit.
  private func shrink(_ widths: inout [Int], to width: Int, heads: [String]) -> Bool {
    var total = widths.reduce(0, +) + 2 * (widths.count - 1)
    while total > width {
      guard
        let widest = widths.indices.filter({ widths[$0] > max(8, TextWidth.columns(heads[$0])) })
          .max(by: { widths[$0] < widths[$1] })
      else { return false }
      widths[widest] -= 1
      total -= 1
    }
    return true
  }

  /// One row, without blanks at its end, and never wider than the terminal.
  private func line(_ cells: [(String, TextRole)], _ widths: [Int], _ width: Int?, _ style: Style) -> String {
    var out = ""
    var gap = 0
    var left = width ?? .max
    for (index, (text, role)) in cells.enumerated() {
      let cut = TextWidth.cut(text, to: widths[index])
      let padding = max(0, widths[index] - TextWidth.columns(cut))
      if cut.isEmpty {
        gap += padding + 2
        continue
      }
      if columns[index].isRight { gap += padding }
      guard left > gap else { break }
      let shown = TextWidth.cut(cut, to: left - gap)
      out += String(repeating: " ", count: gap) + style.paint(shown, role)
      left -= gap + TextWidth.columns(shown)
      gap = (columns[index].isRight ? 0 : padding) + 2
    }
    return out + "\n"
  }

  /// Each row as lines of name and value, as psql's \x shows them.
  private func records(_ style: Style, _ width: Int?) -> String {
    let label = columns.map { TextWidth.columns(TextWidth.harmless($0.name)) }.max() ?? 0
    var out = ""
    for (number, row) in rows.enumerated() {
      var body: [String] = []
      var widest = 0
      for (column, cell) in zip(columns, row) where !(cell.text.isEmpty && column.name.isEmpty) {
        let name = TextWidth.padded(TextWidth.harmless(column.name), to: label)
        let lines = TextWidth.broken(TextWidth.harmless(cell.text), to: width.map { max(8, $0 - label - 2) })
        for (index, line) in lines.enumerated() {
          let text = line.trimmingBlanksAtEnd
          widest = max(widest, label + 2 + TextWidth.columns(text))
          let start = index == 0 ? style.paint(name, .dim) : String(repeating: " ", count: label)
          let shown = start + "  " + style.paint(text, cell.role)
          body.append(text.isEmpty ? (index == 0 ? style.paint(name.trimmingBlanksAtEnd, .dim) : "") : shown)
        }
      }
      let mark = "-[ \(number + 1) ]"
      let dashes = min(width ?? .max, max(widest, mark.utf8.count + 1)) - mark.utf8.count
      out += style.paint(mark + String(repeating: "-", count: max(0, dashes)), .heading) + "\n"
      out += body.map { $0 + "\n" }.joined()
    }
    return out
  }
}

extension String {
  fileprivate var trimmingBlanksAtEnd: String {
    var text = self[...]
    while text.last == " " { text.removeLast() }
    return String(text)
  }
}
