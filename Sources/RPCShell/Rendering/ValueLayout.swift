import RPCWire

/// Values that hold lists of dictionaries, laid out with tables in them.
struct ValueLayout {
  var style: Style
  /// nil where nothing is cut.
  var width: Int?
  var expanded: ExpandedLayout

  /// Nil for a value without a table in it.
  func text(_ value: Value) -> String? {
    Self.hasTable(value) ? block(value, indent: 0) : nil
  }

  private static func hasTable(_ value: Value) -> Bool {
    if Table.isRows(value) { return true }
    return switch value {
    case .list(let values): values.contains { hasTable($0) }
    case .map(let entries): entries.contains { hasTable($0.value) }
    default: false
    }
  }

  private func block(_ value: Value, indent: Int) -> String {
    if let table = Table(rows: value) {
      let text = table.text(style: style, width: width.map { max(8, $0 - indent) }, expanded: expanded)
      return indented(text, by: indent)
    }
    switch value {
    case .map(let entries) where Self.hasTable(value):
      let label = entries.map { TextWidth.columns(TextWidth.harmless($0.key)) }.max() ?? 0
      return entries.map { part(TextWidth.harmless($0.key), $0.value, label: label, indent: indent) }.joined()
    case .list(let values) where Self.hasTable(value):
      let label = "[\(values.count - 1)]".utf8.count
      return values.enumerated().map { part("[\($0)]", $1, label: label, indent: indent) }.joined()
    default: return indented(plain(value, indent), by: indent)
    }
  }

  private func part(_ name: String, _ value: Value, label: Int, indent: Int) -> String {
    if Self.hasTable(value) {
      return indented(style.paint(name, .dim) + "\n", by: indent) + block(value, indent: indent + 2)
    }
    let text = TextWidth.padded(name, to: label)
    let rest = plain(value, indent + label + 2).droppingLastNewline
      .replacing("\n", with: "\n" + String(repeating: " ", count: label + 2))
    return indented(style.paint(text, .dim) + "  " + rest + "\n", by: indent)
  }

  private func plain(_ value: Value, _ indent: Int) -> String {
    TextWidth.harmless(ValueText.shown(value, width: width.map { max(8, $0 - indent) } ?? .max)).endingLine
  }

  private func indented(_ text: String, by indent: Int) -> String {
    guard indent > 0 else { return text }
    let space = String(repeating: " ", count: indent)
    return text.droppingLastNewline.split(separator: "\n", omittingEmptySubsequences: false)
      .map { space + $0 + "\n" }.joined()
  }
}
