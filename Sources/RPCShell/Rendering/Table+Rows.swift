import RPCWire

extension Table {
  /// A list of dictionaries as a table: a row for each, a column for each key, in the order in which the keys come
  /// first. Nil for anything else, and where the dictionaries have little in common.
  init?(rows value: Value) {
    guard case .list(let values) = value, Self.isRows(value) else { return nil }
    var columnOfKey: [UTF8Key: Int] = [:]
    var columns: [Column] = []
    var widest = 0
    for case .map(let entries) in values {
      widest = max(widest, entries.count)
      for entry in entries where columnOfKey[UTF8Key(entry.key)] == nil {
        columnOfKey[UTF8Key(entry.key)] = columns.count
        columns.append(Column(entry.key, key: entry.key, right: true))
      }
      guard columns.count <= ShellLimits.rowColumnsMax, columns.count <= 2 * widest else { return nil }
    }
    var rows: [[Cell]] = []
    rows.reserveCapacity(values.count)
    for case .map(let entries) in values {
      // A key that is missing is not None.
      var row = [Cell](repeating: Cell("", .null), count: columns.count)
      for entry in entries {
        guard let column = columnOfKey[UTF8Key(entry.key)] else { continue }
        row[column] = Cell(ValueText.shown(entry.value, width: .max), entry.value)
        if entry.value.floatValue == nil { columns[column].isRight = false }
      }
      rows.append(row)
    }
    self.init(columns, rows: rows)
  }

  /// Whether a value is a list of dictionaries, and nothing but them.
  static func isRows(_ value: Value) -> Bool {
    guard case .list(let values) = value, !values.isEmpty else { return false }
    return values.allSatisfy { element in
      if case .map(let entries) = element { !entries.isEmpty } else { false }
    }
  }
}
