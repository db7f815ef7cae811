import RPCWire
import TestSupport
import Testing

@testable import RPCShell

/// The prompt's drawing against a terminal: whatever is typed, the screen shows the line and the cursor is in it.
@Suite struct LineDisplayTests {
  init() { Terminal.chooseLocale() }

  /// The rows that a line takes, and where the cursor is, written as plainly as possible.
  static func expected(
    _ content: LineDisplay.Content, _ columns: Int
  ) -> (rows: [String], row: Int, column: Int) {
    var rows = [""]
    var used = 0
    var cursor = (0, 0)
    let prompt = content.prompt.text.unicodeScalars.count
    for (index, scalar) in (content.prompt.text + content.text).unicodeScalars.enumerated() {
      let width = TextWidth.columns(scalar)
      if scalar != "\n", used + width > columns {
        rows.append("")
        used = 0
      }
      if index == prompt + content.cursor { cursor = (rows.count - 1, used) }
      if scalar == "\n" {
        rows.append("")
        used = 0
        continue
      }
      rows[rows.count - 1].unicodeScalars.append(scalar)
      used += width
      if used >= columns {
        rows.append("")
        used = 0
      }
    }
    if content.cursor == content.text.unicodeScalars.count { cursor = (rows.count - 1, used) }
    return (rows, cursor.0, cursor.1)
  }

  @Test(
    "thousands of random edits are drawn right, wide characters at any place",
    arguments: [(40, 1), (41, 2), (30, 3), (17, 4), (80, 5), (7, 6), (2, 7)] as [(Int, UInt64)])
  func edits(columns: Int, seed: UInt64) {
    var random = SeededRandom(seed: seed)
    var display = LineDisplay()
    let height = 60
    var screen = Screen(columns: columns, rows: height)
    var content = LineDisplay.Content(
      prompt: Prompt(place: "", right: "2/2 up", isColored: true), text: "", cursor: 0)
    var text: [Unicode.Scalar] = []
    let letters: [Unicode.Scalar] = ["日", "本", "語", "한", "a", "b", " ", "é", "\n"]
    for step in 0..<500 {
      switch Int.random(in: 0..<8, using: &random) {
      case 0..<3 where text.count < 60:
        let count = [1, 1, 1, 6, 15].randomElement(using: &random) ?? 1
        let new = (0..<count).map { _ in letters[Int.random(in: 0..<letters.count, using: &random)] }
        text.insert(contentsOf: new, at: content.cursor)
        content.cursor += count
      case 3 where content.cursor > 0:
        content.cursor -= 1
        text.remove(at: content.cursor)
      case 4: content.cursor = 0
      case 5: content.cursor = text.count
      case 6 where content.cursor < text.count: text.removeSubrange(content.cursor...)
      default: content.cursor = Int.random(in: 0...text.count, using: &random)
      }
      content.text = String(String.UnicodeScalarView(text))
      content.hint =
        content.cursor == text.count && Bool.random(using: &random)
        ? Hint(text: "a hint → that is long", isError: false) : nil
      screen.feed(
        Array(display.draw(content, columns: columns, rows: height, style: Style(isColored: true)).utf8))
      let wanted = Self.expected(content, columns)
      guard wanted.rows.count < height else { continue }
      let shown = screen.text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
      for (index, row) in wanted.rows.enumerated() {
        let line = index < shown.count ? shown[index] : ""
        let isLast = index == wanted.rows.count - 1
        // Behind the last row there may be the hint, and on a single one the right edge.
        let isRight = isLast ? line.hasPrefix(row.trimmingEndForTest) : line == row.trimmingEndForTest
        #expect(isRight, "seed \(seed), step \(step): row \(index) is '\(line)', not '\(row)'")
        if isLast, content.hint == nil, index > 0 {
          #expect(line == row.trimmingEndForTest, "seed \(seed), step \(step)")
        }
        if !isRight { return }
      }
      #expect(shown.count <= wanted.rows.count, "seed \(seed), step \(step): something is left below")
      #expect(
        (screen.row, screen.column) == (wanted.row, wanted.column), "seed \(seed), step \(step): the cursor")
      #expect(screen.unknown.isEmpty)
    }
  }

  @Test("a line with more rows than the screen shows those around the cursor")
  func tall() {
    var display = LineDisplay()
    var screen = Screen(columns: 20, rows: 5)
    let text = (1...30).map { "row \($0)" }.joined(separator: "\n")
    var content = LineDisplay.Content(
      prompt: Prompt(place: "", right: "", isColored: false), text: text, cursor: text.utf8.count)
    func draw() { screen.feed(Array(display.draw(content, columns: 20, rows: 5, style: .none).utf8)) }
    draw()
    #expect(screen.text == "row 26\nrow 27\nrow 28\nrow 29\nrow 30" && screen.row == 4)
    content.cursor = 0
    draw()
    #expect(screen.text == "rpc> row 1\nrow 2\nrow 3\nrow 4\nrow 5" && screen.row == 0 && screen.column == 5)
    content.cursor = text.utf8.count
    draw()
    #expect(screen.text.hasSuffix("row 30") && screen.scrolledOff.isEmpty)
  }

  @Test("the right edge gives way to the line, and the hint to the right edge")
  func rightEdge() {
    var display = LineDisplay()
    func shown(_ text: String, _ hint: String?) -> String {
      var screen = Screen(columns: 30, rows: 5)
      display.forget()
      let content = LineDisplay.Content(
        prompt: Prompt(place: "", right: "2/2 up", isColored: false), text: text, cursor: text.utf8.count,
        hint: hint.map { Hint(text: $0, isError: false) })
      screen.feed(Array(display.draw(content, columns: 30, rows: 5, style: .none).utf8))
      return screen.text
    }
    #expect(shown("call", nil) == "rpc> call              2/2 up")
    #expect(shown("call", " SERVICE.RPC ARG") == "rpc> call SERVICE.RPC… 2/2 up")
    #expect(shown("a long line of text", nil) == "rpc> a long line of text")
    #expect(shown("call", nil).contains("up"))
  }
}

extension String {
  var trimmingEndForTest: String {
    var text = self[...]
    while text.last == " " { text.removeLast() }
    return String(text)
  }
}
