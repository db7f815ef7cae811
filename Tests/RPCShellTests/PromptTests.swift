import Glibc
import RPCServer
import RPCWire
import TestSupport
import Testing

@testable import RPCShell

/// The prompt on a real terminal: keys in, screen out.
@Suite(.serialized) struct PromptTests {
  static let network = Swift.Result { try LiveNetwork() }
  private let network: LiveNetwork

  init() throws {
    Terminal.chooseLocale()
    network = try Self.network.get()
  }

  @Test("a call from the keyboard, with its hint, its completion and its result")
  func call() throws {
    let terminal = try network.terminal()
    try terminal.waitForPrompt()
    try terminal.wait(for: "1/2 up")
    terminal.send("text.up\t")
    try terminal.wait(for: "rpc> text.upper text: str  → str")
    terminal.send("hello")
    try terminal.wait(for: "rpc> text.upper hello → str")
    terminal.send("\r")
    try terminal.wait(for: "$1 = HELLO")
    try terminal.waitForPrompt()
    #expect(
      terminal.screen.text.contains("rpc> text.upper hello\n")
        || !terminal.screen.text.contains("hello → str"))
    terminal.send("\u{4}")
    #expect(try terminal.waitForEnd() == 0)
    #expect(terminal.isSane && !terminal.screen.pastes && terminal.screen.unknown.isEmpty)
  }

  @Test("a mistake is told in red before Enter")
  func errorHint() throws {
    let terminal = try network.terminal(["--color", "always"])
    try terminal.waitForPrompt()
    terminal.send("math.add 1 x")
    try terminal.wait(for: "x is not an int")
    #expect(String(decoding: terminal.bytes, as: UTF8.self).contains("\u{1b}[31m"))
    terminal.send("\u{8}2")
    try terminal.wait("the hint to go") {
      !$0.text.contains("not an int") && $0.text.contains("math.add 1 2")
    }
  }

  @Test("Tab lists what there is, with signatures, and pages a long list")
  func completion() throws {
    let terminal = try network.terminal(rows: 12)
    try terminal.waitForPrompt()
    try terminal.wait(for: "1/2 up")
    terminal.send("call s1 text.\t")
    try terminal.wait(for: "(a: int, b: str) -> str")
    try terminal.wait("the line again") { $0.currentLine.hasPrefix("rpc> call s1 text.") }
    terminal.send("c\t")
    try terminal.wait(for: "call s1 text.concat")
    terminal.send("\u{3}")
    try terminal.waitForPrompt()
    terminal.send("help \t")
    try terminal.wait(for: "more: space, or q")
    terminal.send("q")
    try terminal.wait("the line again") { $0.currentLine.hasPrefix("rpc> help") }
    terminal.send("\u{3}\u{4}")
    #expect(try terminal.waitForEnd() == 0)
  }

  @Test("an open quote or bracket goes on with another row, which is one entry of the history")
  func severalRows() throws {
    let folder = TemporaryDirectory()
    let environment: [String: String?] = ["RPC_HISTFILE": folder.path + "/history"]
    let terminal = try network.terminal(environment: environment)
    try terminal.waitForPrompt()
    terminal.send("text.upper \"one\r")
    try terminal.wait("a second row") { $0.row > 0 && $0.column == 5 && $0.currentLine == "..\">" }
    terminal.send("two\"\r")
    try terminal.wait(for: "TWO")
    try terminal.waitForPrompt()
    terminal.send("text.upper three\r")
    try terminal.wait(for: "THREE")
    try terminal.waitForPrompt()
    terminal.send(" text.upper secretly\r")
    try terminal.wait(for: "SECRETLY")
    try terminal.waitForPrompt()
    // The arrow finds it whole.
    terminal.send("\u{1b}[A\u{1b}[A\u{1b}[A")
    try terminal.wait("the entry of two rows") { $0.currentLine.hasPrefix("two\"") }
    terminal.send("\r")
    try terminal.wait("both rows again") { $0.text.components("TWO") == 2 }
    terminal.send("\u{4}")
    #expect(try terminal.waitForEnd() == 0)
    #expect(
      HistoryFile(path: folder.path + "/history").load() == [
        "text.upper \"one\ntwo\"", "text.upper three", "text.upper \"one\ntwo\"",
      ])
    // And the next shell has it too; ^R finds it.
    let next = try network.terminal(environment: environment)
    try next.waitForPrompt()
    next.send("\u{12}thr")
    try next.wait(for: "text.upper three")
    next.send("\u{1b}")
    next.send("\r")
    try next.wait(for: "THREE")
    next.send("\u{4}")
    #expect(try next.waitForEnd() == 0)
  }

  @Test("Ctrl-D that is typed while a command runs ends the shell after it")
  func endTypedAhead() throws {
    let terminal = try network.terminal()
    try terminal.waitForPrompt()
    terminal.send("text.wait 300\r\u{4}")
    try terminal.wait(for: "$1 = 300")
    #expect(try terminal.waitForEnd() == 0)
  }

  @Test("the arrows search by what is typed already")
  func prefixSearch() throws {
    let terminal = try network.terminal()
    try terminal.waitForPrompt()
    let lines = ["text.upper first", "math.add 1 2", "text.upper second", "use s1"]
    for (index, line) in lines.enumerated() {
      terminal.send(line + "\r")
      try terminal.wait("the prompt again") { $0.text.components("rpc>") == index + 2 }
    }
    try terminal.waitForPrompt("@s1 rpc>")
    terminal.send("text\u{1b}[A")
    try terminal.wait("the newest one") { $0.currentLine.contains("rpc> text.upper second") }
    terminal.send("\u{1b}[A")
    try terminal.wait("the older one") { $0.currentLine.contains("rpc> text.upper first") }
    terminal.send("\u{1b}[B\u{1b}[B")
    try terminal.wait("what was typed") {
      $0.currentLine.contains("rpc> text") && !$0.currentLine.contains("upper")
    }
  }

  @Test("a paste is text, whatever keys are in it, and may hold several commands")
  func paste() throws {
    let terminal = try network.terminal()
    try terminal.waitForPrompt()
    terminal.send("\u{1b}[200~text.upper a\r\ntext.upper\tb\r\n\u{1b}[201~")
    try terminal.wait("both rows in the editor") {
      $0.text.contains("rpc> text.upper a") && $0.currentLine.hasPrefix("text.upper  b")
    }
    #expect(!terminal.screen.text.contains("$1"))
    terminal.send("\r")
    try terminal.wait(for: "$2 = B")
    try terminal.waitForPrompt()
    // More than the prompt takes.
    terminal.send(
      "\u{1b}[200~" + String(repeating: "x", count: ShellLimits.promptBytesMax + 10) + "\u{1b}[201~")
    try terminal.wait(for: "put it into a file and write @file")
    terminal.send("text.upper c\r")
    try terminal.wait(for: "$3 = C")
  }

  @Test("Ctrl-C cancels a running call on the server too, clears a line, and never ends the shell")
  func interrupt() async throws {
    let terminal = try network.terminal()
    try terminal.waitForPrompt()
    terminal.send("text.upper half a li\u{3}")
    try terminal.wait(for: "^C")
    try terminal.waitForPrompt()
    let before = network.calls.counts
    terminal.send("text.wait 60000\r")
    #expect(await network.calls.wait { $0.started > before.started })
    terminal.send("\u{3}")
    try terminal.wait(for: "Cancelled text.wait after")
    try terminal.waitForPrompt()
    #expect(await network.calls.wait { $0.cancelled > before.cancelled })
    terminal.send("text.upper still\r")
    try terminal.wait(for: "STILL")
    terminal.send("text.wait 60000 &\r")
    #expect(await network.calls.wait { $0.started > before.started + 1 })
    terminal.send("jobs\r")
    try terminal.wait(for: "running")
    terminal.send("cancel 1\r")
    try terminal.wait(for: "[1] cancelled")
    terminal.send("text.upper job &\r")
    try terminal.wait(for: "[2] done: text.upper job")
    try terminal.wait(for: "$2 = JOB")
    terminal.send("quit\r")
    #expect(try terminal.waitForEnd() == 0)
  }

  @Test("notices appear above the line being typed, which stays as it is")
  func notices() throws {
    let other = try LiveNetwork()
    let terminal = try other.terminal()
    try terminal.waitForPrompt()
    try terminal.wait(for: "1/2 up")
    terminal.send("text.upper typing")
    try terminal.wait(for: "typing → str")
    other.server.stopNow()
    try terminal.wait("the notice") { $0.text.contains("* s1 is") }
    try terminal.wait("the line below them") {
      $0.currentLine.hasPrefix("rpc> text.upper typing") && $0.currentLine.hasSuffix("0/2 up")
    }
    let rows = terminal.screen.text.split(separator: "\n")
    #expect(rows.filter { $0.contains("text.upper typing") }.count == 1)
    terminal.send("\u{3}\u{4}")
    #expect(try terminal.waitForEnd() == 0)
  }

  @Test("a resized window shows the line once, wrapped again")
  func resize() throws {
    let terminal = try network.terminal(columns: 80)
    try terminal.waitForPrompt()
    terminal.send("text.upper " + String(repeating: "word ", count: 10))
    try terminal.wait(for: "word word")
    terminal.resize(columns: 40, rows: 20)
    try terminal.wait("the line in the new width") {
      $0.text.components("word") == 10 && $0.text.components("rpc>") == 1
    }
    terminal.send("\rtext.upper x\r")
    try terminal.wait(for: "$1 = X")
  }

  @Test("wide characters are edited column by column")
  func wide() throws {
    let terminal = try network.terminal(columns: 40)
    try terminal.waitForPrompt()
    terminal.send("text.upper 日本語éx")
    try terminal.wait("the cursor behind them") {
      $0.currentLine.hasPrefix("rpc> text.upper 日本語éx") && $0.column == 24
    }
    terminal.send("\u{8}\u{8}\u{8}z\r")
    try terminal.wait(for: "日本Z")
  }
}
