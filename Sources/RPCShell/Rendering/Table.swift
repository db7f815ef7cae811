import RPCWire

/// Rows under headings. A cell keeps its value beside its text, so that the same table is JSON for programs.
struct Table: Hashable, Sendable {
  struct Column: Hashable, Sendable {
    /// The key in JSON and, in capitals, the heading.
    var name: String
    var isRight: Bool = false
    /// How wide its text may get; nil never cuts.
    var widthMax: Int? = ShellLimits.columnWidthMax

    init(_ name: String, right: Bool = false, widthMax: Int? = ShellLimits.columnWidthMax) {
      self.name = name
      isRight = right
      self.widthMax = widthMax
    }
  }

  struct Cell: Hashable, Sendable {
    var text: String
    var value: Value
    var role: TextRole

    init(_ text: String, _ value: Value? = nil, role: TextRole = .plain) {
      self.text = text
      self.value = value ?? .string(text)
      self.role = role
    }

    static func names(_ names: [String]) -> Cell {
      Cell(names.joined(separator: ", "), .list(names.map { .string($0) }))
    }

    static func number(_ number: Int64?) -> Cell {
      number.map { Cell(Quantity.count($0), .int($0)) } ?? Cell("–", .null, role: .dim)
    }
  }

  var columns: [Column]
  var rows: [[Cell]]
  /// What is said when there are no rows.
  var empty: String

  init(_ columns: [Column], rows: [[Cell]] = [], empty: String = "(none)") {
    self.columns = columns
    self.rows = rows
    self.empty = empty
  }

  func object(_ row: [Cell]) -> Value {
    .map(zip(columns, row).map { Value.Entry($0.name.replacing(" ", with: "_"), $1.value) })
  }
}

extension Table {
  /// A list of dictionaries with the same keys and plain values, as a table. Nil for anything else.
  init?(rows value: Value) {
    guard case .list(let values) = value, values.count > 1, case .map(let first)? = values.first,
      !first.isEmpty
    else { return nil }
    let keys = first.map(\.key)
    var rows: [[Cell]] = []
    for value in values {
      guard case .map(let entries) = value, entries.map(\.key) == keys else { return nil }
      var row: [Cell] = []
      for entry in entries {
        switch entry.value {
        case .list(let list) where !list.isEmpty: return nil
        case .map(let map) where !map.isEmpty: return nil
        default: row.append(Cell(ValueText.shown(entry.value, width: .max), entry.value))
        }
      }
      rows.append(row)
    }
    let columns = keys.enumerated().map { index, key in
      Column(key, right: rows.allSatisfy { $0[index].value.floatValue != nil })
    }
    self.init(columns, rows: rows)
  }

  func text(style: Style, width: Int, headings: Bool = true) -> String {
    guard !rows.isEmpty else { return style.paint(empty, .dim) + "\n" }
    let texts = rows.map { $0.map { TextWidth.harmless($0.text).replacing("\n", with: "⏎") } }
    let heads = columns.map { $0.name.uppercased() }
    var widths = heads.map { headings ? TextWidth.columns($0) : 0 }
    for row in texts {
      for (index, text) in row.enumerated() {
        widths[index] = max(widths[index], min(TextWidth.columns(text), columns[index].widthMax ?? .max))
      }
    }
    shrink(&widths, to: width, heads: heads)
    var out = ""
    if headings { out += line(heads.map { ($0, TextRole.heading) }, widths, style) }
    for (row, cells) in zip(texts, rows) {
      out += line(zip(row, cells).map { ($0, $1.role) }, widths, style)
    }
    return out
  }

  /// Takes columns from the widest until the table fits, but keeps the headings whole.
  private func shrink(_ widths: inout [Int], to width: Int, heads: [String]) {
    var total = widths.reduce(0, +) + 2 * (widths.count - 1)
    while total > width {
      guard
        let widest = widths.indices.filter({
          columns[$0].widthMax != nil && widths[$0] > max(8, heads[$0].count)
        })
        .max(by: { widths[$0] < widths[$1] })
      else { return }
      widths[widest] -= 1
      total -= 1
    }
  }

  private func line(_ cells: [(String, TextRole)], _ widths: [Int], _ style: Style) -> String {
    var out = ""
    for (index, (text, role)) in cells.enumerated() {
      let isLast = index + 1 == cells.count
      let cut = TextWidth.cut(text, to: widths[index])
      let padding = String(repeating: " ", count: max(0, widths[index] - TextWidth.columns(cut)))
      let painted = style.paint(cut, role)
      if columns[index].isRight {
        out += padding + painted
      } else {
        out += isLast ? painted : painted + padding
      }
      if !isLast { out += "  " }
    }
    return out + "\n"
  }
}
