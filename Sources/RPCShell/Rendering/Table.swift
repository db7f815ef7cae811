import RPCWire

/// Rows under headings. A cell keeps its value beside its text, so that the same table is JSON for programs.
struct Table: Hashable, Sendable {
  struct Column: Hashable, Sendable {
    /// In capitals, the heading.
    var name: String
    /// In JSON; carries the unit of a number that has one.
    var key: String
    var isRight: Bool = false
    /// How wide its text may get on a terminal.
    var widthMax: Int

    init(
      _ name: String, key: String? = nil, right: Bool = false, widthMax: Int = ShellLimits.columnWidthMax
    ) {
      self.name = name
      self.key = key ?? name.replacing(" ", with: "_")
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
    .map(zip(columns, row).map { Value.Entry($0.key, $1.value) })
  }
}
