import Glibc
import RPCServer
import RPCWire
import TestSupport
import Testing

@testable import RPCShell

/// What the line editor does beyond typing: searching, taking back, editing elsewhere, going on in further rows.
@Suite(.serialized) struct EditingTests {
  static let network = Swift.Result { try LiveNetwork() }
  private let network: LiveNetwork

  init() throws {
    Terminal.chooseLocale()
    network = try Self.network.get()
  }

  /// A terminal with a history.
  private func terminal(
    _ history: [String], columns: Int = 80, environment: [String: String?] = [:]
  ) throws -> TerminalSession {
    let path = network.folder.path + "/history-\(UInt64.random(in: 0 ..< .max))"
    for line in history { HistoryFile(path: path).append(line) }
    let terminal = try network.terminal(
      ["-q"], columns: columns, environment: environment.merging(["RPC_HISTFILE": path]) { $1 })
    try terminal.waitForPrompt()
    try terminal.wait(for: "1/2 up")
    return terminal
  }

  @Test("Ctrl-R shows what is searched for, what is found, and that nothing is")
  func search() throws {
    let terminal = try terminal(["text.upper three", "math.add 1 2", "text.upper four"])
    terminal.send("\u{12}")
    try terminal.wait(for: "(reverse-i-search)`':")
    terminal.send("text")
    try terminal.wait(for: "(reverse-i-search)`text': text.upper four")
    terminal.send("\u{12}")
    try terminal.wait(for: "(reverse-i-search)`text': text.upper three")
    terminal.send("x")
    try terminal.wait(for: "(failed reverse-i-search)`textx': text.upper three")
    terminal.send("\u{7f}")
    try terminal.wait(for: "(reverse-i-search)`text': text.upper three")
    // Enter runs it.
    terminal.send("\r")
    try terminal.wait(for: "$1 = THREE")
    #expect(!terminal.screen.text.contains("i-search"))
    try terminal.waitForPrompt()
    // An arrow goes on with it.
    terminal.send("\u{12}add\u{1b}[D\u{8}3")
    try terminal.wait("the line, changed") { $0.currentLine.hasPrefix("rpc> math.add 132") }
    terminal.send("\u{15}")
    // Ctrl-G gives back what was there.
    terminal.send("text.upper mine\u{12}add")
    try terminal.wait(for: "`add': math.add 1 2")
    terminal.send("\u{7}")
    try terminal.wait("what was typed") { $0.currentLine.hasPrefix("rpc> text.upper mine") }
    terminal.send("\r")
    try terminal.wait(for: "$2 = MINE")
  }

  @Test("Ctrl-C ends a search and leaves nothing of it on the screen")
  func interruptedSearch() throws {
    let terminal = try terminal(["text.upper three", "math.add 1 2"])
    terminal.send("text.upper draft\u{12}add")
    try terminal.wait(for: "(reverse-i-search)`add': math.add 1 2")
    terminal.send("\u{3}")
    try terminal.wait("a new prompt") {
      $0.text.contains("^C") && $0.currentLine.hasPrefix("rpc>") && $0.column == 5
    }
    let rows = terminal.screen.text.split(separator: "\n").map { row in
      String(row).replacing("1/2 up", with: "").trimmingSpaces
    }
    #expect(rows == ["rpc> text.upper draft^C", "rpc>"])
    terminal.send("text.upper fine\r")
    try terminal.wait(for: "$1 = FINE")
    #expect(terminal.screen.unknown.isEmpty)
  }

  @Test("a long entry is cut to one row while it is searched for")
  func longEntry() throws {
    let long = "text.upper \"" + String(repeating: "word ", count: 40) + "\nlast row\""
    let terminal = try terminal([long], columns: 40)
    terminal.send("\u{12}upper")
    try terminal.wait("the entry, cut") {
      $0.currentLine.hasPrefix("(reverse-i-search)`upper': text") && $0.currentLine.hasSuffix("…")
    }
    #expect(terminal.screen.row == 0)
    terminal.send("\u{3}")
    try terminal.wait("a new prompt") { $0.text.contains("^C") && $0.currentLine.hasPrefix("rpc>") }
  }

  @Test("an open quote or bracket shows so in the next rows' prompts")
  func continuation() throws {
    let terminal = try terminal([])
    terminal.send("text.upper \"one\r")
    try terminal.wait("the prompt of a second row") {
      $0.currentLine == "..\">" && $0.column == 5
    }
    terminal.send("two\"\r")
    try terminal.wait(for: "TWO")
    try terminal.waitForPrompt()
    terminal.send("text.lines [\r")
    try terminal.wait("the prompt in a bracket") { $0.currentLine.hasPrefix("..[>") }
    terminal.send("{\r")
    try terminal.wait("the prompt in a brace") { $0.currentLine.hasPrefix("..{>") }
    // The arrow goes back into the rows above, which are one line again.
    terminal.send("\u{1b}[A")
    try terminal.wait("the rows above") {
      $0.text.contains("rpc> text.lines [\n{") && !$0.text.contains("..[>") && !$0.text.contains("..{>")
    }
    terminal.send("\u{3}")
    try terminal.wait("a new prompt") { $0.currentLine.hasPrefix("rpc>") && $0.column == 5 }
    // Ctrl-D says what is missing.
    terminal.send("text.upper '\r")
    try terminal.wait("the prompt in a quote") { $0.currentLine.hasPrefix("..'>") }
    terminal.send("\u{4}")
    try terminal.wait(for: "\nerror: the quote (') is never closed")
    try terminal.waitForPrompt()
    terminal.send("text.upper fine\r")
    try terminal.wait(for: "$2 = FINE")
  }

  @Test("M-. brings the last word of the entry before, and the one before that")
  func lastArgument() throws {
    let terminal = try terminal(["text.upper one", "math.add 1 [2, 3]"])
    terminal.send("text.upper \u{1b}.")
    try terminal.wait("the last word") { $0.currentLine.hasPrefix("rpc> text.upper [2, 3]") }
    terminal.send("\u{1b}.")
    try terminal.wait("the word before") { $0.currentLine.hasPrefix("rpc> text.upper one") }
    terminal.send("\r")
    try terminal.wait(for: "$1 = ONE")
  }

  @Test("output without a line end stays, and the prompt begins below it")
  func unfinishedOutput() throws {
    let terminal = try terminal([])
    terminal.send("!printf half\r")
    try terminal.wait("the prompt below it") { $0.text.contains("\nhalf\nrpc>") && $0.column == 5 }
    terminal.send("text.upper x\r")
    try terminal.wait(for: "$1 = X")
    #expect(terminal.screen.text.contains("rpc> !printf half"))
  }

  @Test("undo takes changes back one by one")
  func undo() throws {
    let terminal = try terminal([])
    terminal.send("text.upper first second\u{17}\u{15}")
    try terminal.wait("an empty line") { $0.column == 5 }
    terminal.send("\u{1f}")
    try terminal.wait("the line before Ctrl-U") {
      $0.currentLine.hasPrefix("rpc> text.upper first") && !$0.currentLine.contains("second")
    }
    terminal.send("\u{18}\u{15}")
    try terminal.wait("the line before Ctrl-W") { $0.currentLine.hasPrefix("rpc> text.upper first second") }
    terminal.send("\u{1f}\u{1f}\r")
    try terminal.wait(for: "$1 = FIRST")
  }

  @Test("C-x C-e opens the line in $EDITOR, and takes what is saved")
  func editor() throws {
    let script = network.folder.path + "/edit"
    try network.folder.write(
      "#!/bin/sh\nsed -i 's/one/two/' \"$1\"; stat -c %a \"$1\" > '\(network.folder.path)/mode'\n", to: "edit"
    )
    chmod(script, 0o755)
    let terminal = try terminal([], environment: ["EDITOR": "'\(script)'", "VISUAL": nil])
    terminal.send("text.upper one\u{18}\u{5}")
    try terminal.wait("the line, edited") { $0.currentLine.hasPrefix("rpc> text.upper two") }
    terminal.send("\r")
    try terminal.wait(for: "$1 = TWO")
    #expect(try network.folder.read("mode") == "600\n")
    let without = try self.terminal([], environment: ["EDITOR": "/nonexistent/editor", "VISUAL": nil])
    without.send("text.upper kept\u{18}\u{5}")
    try without.wait(for: "the line is as it was")
    try without.wait("the line") { $0.currentLine.hasPrefix("rpc> text.upper kept") }
    without.send("\r")
    try without.wait(for: "$1 = KEPT")
  }

  @Test(
    "wide characters that wrap are drawn right, from whichever end the line is changed",
    arguments: [30, 31, 40])
  func wideWrapping(columns: Int) throws {
    let terminal = try terminal([], columns: columns)
    var text = "text.upper \"" + String(repeating: "日本語", count: 8) + "\""
    func check(_ what: String, cursor: Int) throws {
      let content = LineDisplay.Content(
        prompt: Prompt(place: "", right: "", isColored: false), text: text, cursor: cursor, hint: nil)
      let wanted = LineDisplayTests.expected(content, columns)
      try terminal.wait(what) { screen in
        let rows = screen.text.split(separator: "\n", omittingEmptySubsequences: false)
        return screen.row == wanted.row && screen.column == wanted.column && rows.count == wanted.rows.count
          && zip(rows, wanted.rows).dropLast().allSatisfy { $0 == $1.trimmingEndForTest }
          && rows[rows.count - 1].hasPrefix(wanted.rows[wanted.rows.count - 1])
      }
    }
    terminal.send(text)
    try check("the line", cursor: text.unicodeScalars.count)
    terminal.send("\u{1}call ")
    text = "call " + text
    try check("the line with a word before it", cursor: 5)
    terminal.send("\u{4}")
    text.remove(at: text.index(text.startIndex, offsetBy: 5))
    try check("the line without a letter", cursor: 5)
    terminal.send("t\u{1}\u{5}\r")
    try terminal.wait(for: "日本語日")
    try terminal.wait(for: "$1 =")
    #expect(terminal.screen.unknown.isEmpty)
  }

  @Test("the first command after a resize has the new width")
  func resizedCommand() throws {
    let terminal = try network.terminal(["-q"], columns: 100)
    try terminal.waitForPrompt()
    try terminal.wait(for: "1/2 up")
    terminal.resize(columns: 40, rows: 40)
    try terminal.wait("the prompt again") { $0.currentLine.hasPrefix("rpc>") && $0.column == 5 }
    terminal.send("servers\r")
    try terminal.wait(for: "-[ 2 ]")
    try terminal.wait("the prompt below") { $0.currentLine.hasPrefix("rpc>") && $0.row > 10 }
    terminal.resize(columns: 120, rows: 40)
    try terminal.wait("the prompt again") { $0.currentLine.hasPrefix("rpc>") && $0.column == 5 }
    terminal.send("servers\r")
    try terminal.wait(for: "SERVER  STATE  ADDRESS")
  }
}
