/// What the prompt shows: the prompt, the line, a hint behind it and the right edge, in as many rows as they take.
/// Pure: it makes the text that changes what the terminal shows into what it should show.
///
/// libedit edits the line but draws nothing: what it writes for lines with wide characters goes wrong once they wrap.
struct LineDisplay: Sendable {
  struct Content: Hashable, Sendable {
    var prompt: Prompt
    var text: String
    /// In characters (scalars) of `text`.
    var cursor: Int
    var hint: Hint?
  }

  private struct Row {
    var text = ""
    var columns = 0
    /// Whether the next row goes on with the same text, without a line end in it.
    var isWrapped = false
  }

  private struct Drawn {
    var content: Content
    var columns: Int
    var rows: Int
    /// The cursor's row among those that are shown.
    var cursorRow: Int
    /// Whether all rows are shown.
    var isWhole: Bool
  }

  /// nil while nothing is drawn: the cursor is where the first row begins.
  private var drawn: Drawn?
  /// The first row that is shown, where there are more than the screen has.
  private var top = 0

  /// Draws the line over what was drawn before. Nothing where that is the same.
  mutating func draw(_ content: Content, columns: Int, rows screenRows: Int, style: Style) -> String {
    if let drawn, drawn.content == content, drawn.columns == columns, drawn.rows == screenRows { return "" }
    let (rows, cursor) = Self.layout(content, columns: max(2, columns), style)
    let count = min(rows.count, max(1, screenRows))
    // The window moves as far as it must for the cursor.
    top = min(max(min(top, cursor.row), cursor.row - count + 1), rows.count - count)
    var out = start(columns: columns)
    for index in top..<top + count {
      let row = rows[index]
      out += row.text
      let isFull = row.columns >= columns
      if index + 1 == top + count {
        // Behind a full row there is nothing to erase, and its last character would be.
        if !isFull { out += tail(content, row, rows.count, columns, style) }
      } else if !row.isWrapped {
        out += (isFull ? "" : "\u{1b}[K") + "\r\n"
      } else if !isFull {
        // A wide character does not fit any more: the terminal puts it into the next row by itself.
        out += "\u{1b}[K"
      } else if rows[index + 1].columns == 0 {
        // The next row begins with the next character, which there is none of.
        out += " \r"
      }
    }
    let below = top + count - 1 - cursor.row
    out +=
      (below > 0 ? "\u{1b}[\(below)A" : "") + "\r" + (cursor.column > 0 ? "\u{1b}[\(cursor.column)C" : "")
    drawn = Drawn(
      content: content, columns: columns, rows: screenRows, cursorRow: cursor.row - top,
      isWhole: count == rows.count)
    return out
  }

  /// Takes everything away; the cursor is where the first row began.
  mutating func erase(columns: Int) -> String {
    defer { forget() }
    return start(columns: columns) + "\u{1b}[J"
  }

  /// Begins a row, unless the cursor is at the beginning of one: what a program wrote last may have no line end.
  static func newRow(columns: Int) -> String { String(repeating: " ", count: columns) + "\r" }

  /// Somebody else has written: the next line is drawn where the cursor is.
  mutating func forget() {
    drawn = nil
    top = 0
  }

  /// To where the first row that is shown begins.
  private func start(columns: Int) -> String {
    guard let drawn else { return "\r" }
    var row = drawn.cursorRow
    if drawn.columns != columns, drawn.isWhole {
      // The terminal has wrapped the rows again.
      let content = drawn.content
      let before = String(String.UnicodeScalarView(content.text.unicodeScalars.prefix(content.cursor)))
      row = ScreenPosition(after: content.prompt.text, before, columns: columns).row
    }
    return (row > 0 ? "\u{1b}[\(row)A" : "") + "\r"
  }

  /// What stands behind the line: the hint, and on a single row what belongs to the right edge.
  private func tail(
    _ content: Content, _ row: Row, _ rows: Int, _ columns: Int, _ style: Style
  ) -> String {
    let right = TextWidth.columns(content.prompt.right)
    let showsRight = right > 0 && rows == 1 && row.columns + right + 2 <= columns
    var out = ""
    if let hint = content.hint {
      let width = columns - row.columns - (showsRight ? right + 2 : 1)
      if width >= 4 {
        let gap = hint.isError && !hint.text.hasPrefix(" ") && content.text.last != " " ? "  " : ""
        let shown = TextWidth.cut(TextWidth.harmless(gap + hint.text), to: width)
        out += style.paint(shown, hint.isError ? .bad : .dim)
      }
    }
    out += "\u{1b}[J"
    if showsRight { out += "\r\u{1b}[\(columns - right - 1)C" + content.prompt.right }
    return out
  }

  /// The rows by the rules of `ScreenPosition`, which are those of terminals.
  private static func layout(
    _ content: Content, columns: Int, _ style: Style
  ) -> (rows: [Row], cursor: (row: Int, column: Int)) {
    var rows = [Row()]
    var cursor = (row: 0, column: 0)
    func wrap() {
      rows[rows.count - 1].isWrapped = true
      rows.append(Row())
    }
    func put(_ text: String, width: Int) {
      rows[rows.count - 1].text += text
      rows[rows.count - 1].columns += width
      if rows[rows.count - 1].columns >= columns { wrap() }
    }
    /// - Parameter isCursor: whether the cursor stands on it.
    func put(_ scalar: Unicode.Scalar, isCursor: Bool) {
      let used = rows[rows.count - 1].columns
      let (text, width): (String, Int) =
        switch scalar.value {
        case 0x09:
          (
            String(repeating: " ", count: min(8 - used % 8, columns - used)),
            min(8 - used % 8, columns - used)
          )
        case ..<0x20: ("^\(Unicode.Scalar(scalar.value + 0x40) ?? "?")", 2)
        case 0x7f: ("^?", 2)
        default: (String(scalar), TextWidth.columns(scalar))
        }
      if scalar != "\n", used + width > columns { wrap() }
      if isCursor { cursor = (rows.count - 1, rows[rows.count - 1].columns) }
      if scalar == "\n" { rows.append(Row()) } else { put(text, width: width) }
    }
    let prompt = content.prompt
    let painted = (prompt.place + prompt.name).unicodeScalars.count
    let isPainted = prompt.isColored && painted > 0
    for (index, scalar) in prompt.text.unicodeScalars.enumerated() {
      if isPainted, index == 0 { rows[0].text += "\u{1b}[1;36m" }
      if isPainted, index == painted { rows[rows.count - 1].text += "\u{1b}[0m" }
      put(scalar, isCursor: false)
    }
    var count = 0
    for scalar in content.text.unicodeScalars {
      put(scalar, isCursor: count == content.cursor)
      count += 1
    }
    if content.cursor >= count { cursor = (rows.count - 1, rows[rows.count - 1].columns) }
    return (rows, cursor)
  }
}
