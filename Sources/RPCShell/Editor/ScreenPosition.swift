/// Where the cursor is, relative to the first row of the prompt, when a text has been written from its start:
/// the same rules as the line editor's and the terminal's.
struct ScreenPosition: Hashable, Sendable {
  var row = 0
  var column = 0
  let columns: Int

  init(columns: Int) { self.columns = max(1, columns) }

  init(after first: String, _ rest: String..., columns: Int) {
    self.init(columns: columns)
    for text in [first] + rest { write(text) }
  }

  mutating func write(_ text: String) {
    for scalar in text.unicodeScalars {
      if scalar == "\n" {
        row += 1
        column = 0
        continue
      }
      if scalar == "\t" {
        // The line editor goes on to the next multiple of eight.
        let next = (column / 8 + 1) * 8
        column = next
        if column >= columns { wrap() }
        continue
      }
      // Control characters are shown as ^A.
      let width = scalar.value < 0x20 || scalar.value == 0x7f ? 2 : TextWidth.columns(scalar)
      if column + width > columns { wrap() }
      column += width
      if column >= columns { wrap() }
    }
  }

  private mutating func wrap() {
    row += 1
    column = 0
  }
}
