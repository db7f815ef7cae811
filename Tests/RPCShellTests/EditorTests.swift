import Glibc
import RPCTransport
import RPCWire
import TestSupport
import Testing

@testable import RPCShell

@Suite struct EditorTests {
  init() { Terminal.chooseLocale() }

  @Test("the arrows go through what begins as the line does, and back to the draft")
  func arrows() {
    var history = PromptHistory()
    for line in ["call a", "use s1", "call b", "use s2", "use s2"] { _ = history.add(line) }
    #expect(history.entries.count == 4)
    history.begin()
    // Keys in the order they are pressed: what was in the line, what is then.
    func press(_ steps: [(isUp: Bool, line: String, then: String?)]) {
      for step in steps {
        let result = step.isUp ? history.previous(step.line) : history.next(step.line)
        #expect(result == step.then)
      }
    }
    press([(true, "", "use s2"), (true, "use s2", "call b")])
    history.begin()
    press([
      (true, "ca", "call b"), (true, "call b", "call a"), (true, "call a", nil), (false, "call a", "call b"),
      (false, "call b", "ca"), (false, "ca", nil),
      // Once edited, the search begins again.
      (true, "use s1x", nil),
    ])
  }

  @Test("the history file keeps what parallel shells add, several rows as one entry, for the owner alone")
  func historyFile() async throws {
    let folder = TemporaryDirectory()
    let file = HistoryFile(path: folder.path + "/state/rpc/history")
    #expect(file.load() == [])
    file.append("text.upper \"two\nrows \\ here\"")
    await withTaskGroup(of: Void.self) { group in
      for shell in 0..<8 {
        group.addTask { for line in 0..<50 { file.append("shell \(shell) line \(line)") } }
      }
    }
    let entries = file.load()
    #expect(entries.count == 401 && entries[0] == "text.upper \"two\nrows \\ here\"")
    #expect(Set(entries).count == 401)
    var status = stat()
    #expect(stat(file.path, &status) == 0 && status.st_mode & 0o777 == 0o600)
  }

  @Test("a history file that grew too large keeps its newest half")
  func historyFileShortened() throws {
    let folder = TemporaryDirectory()
    let file = HistoryFile(path: folder.path + "/history")
    let line = String(repeating: "x", count: 1023)
    try folder.write(
      String(repeating: line + "\n", count: ShellLimits.historyFileBytesMax / 1024), to: "history")
    file.append("the newest")
    #expect(file.load().last == "the newest")
    var status = stat()
    #expect(stat(file.path, &status) == 0 && Int(status.st_size) < ShellLimits.historyFileBytesMax * 6 / 10)
  }

  @Test(
    "lines with secrets stay out of the file",
    arguments: [
      ("login password=x", true), ("f {\"api_token\": 1}", true), ("f [{secret: 1}]", true),
      ("token = auth.get me", true), ("text.upper hello", false),
      ("text.upper password", false),
    ])
  func secrets(line: String, isSecret: Bool) async {
    #expect(Secrets.contains(CommandLine.all(in: line), await TestShell().snapshot()) == isSecret)
  }

  @Test("keys are decoded wherever a read cuts them, and garbage becomes a mark")
  func input() throws {
    let text = "aé日😀"
    let bytes = Array(text.utf8)
    for split in 0...bytes.count {
      var ends: [Int32] = [0, 0]
      #expect(pipe(&ends) == 0)
      defer { for end in ends { close(end) } }
      var reader = InputReader()
      var scalars: [Unicode.Scalar] = []
      for part in [bytes[..<split], bytes[split...]] where !part.isEmpty {
        _ = StandardOutput.write(ends[1], Array(part))
        reader.fill(from: ends[0], most: part.count)
        while let scalar = reader.next() { scalars.append(scalar) }
      }
      #expect(scalars == Array(text.unicodeScalars))
    }
    var ends: [Int32] = [0, 0]
    #expect(pipe(&ends) == 0)
    defer { for end in ends { close(end) } }
    _ = StandardOutput.write(ends[1], [0xff, 0xc3, 0x41, 0xe2, 0x82, 0x42])
    var reader = InputReader()
    reader.fill(from: ends[0], most: 100)
    var text2 = ""
    while let scalar = reader.next() { text2.unicodeScalars.append(scalar) }
    #expect(text2 == "\u{fffd}\u{fffd}A\u{fffd}B")
  }

  @Test(
    "where the cursor is after a text",
    arguments: [
      ("rpc> abc", 80, 0, 8), ("rpc> " + String(repeating: "x", count: 15), 20, 1, 0),
      ("rpc> " + String(repeating: "日", count: 8), 20, 1, 2),
      ("rpc> a\nbc", 20, 1, 2), ("rpc> \u{1}", 20, 0, 7), ("", 20, 0, 0),
    ])
  func position(text: String, columns: Int, row: Int, column: Int) {
    let position = ScreenPosition(after: text, columns: columns)
    #expect(position.row == row && position.column == column)
  }

  @Test("undo goes back word by word, and change by change")
  func undo() {
    var undo = UndoHistory()
    func type(_ text: String, onto start: String = "") {
      var line = start
      for scalar in text.unicodeScalars {
        line.unicodeScalars.append(scalar)
        undo.note(line, line.unicodeScalars.count)
      }
    }
    type("call text")
    undo.note("call ", 5)
    #expect(undo.undo()?.text == "call text")
    #expect(undo.undo()?.text == "call ")
    #expect(undo.undo()?.text == "call")
    #expect(undo.undo()?.text == "" && undo.undo() == nil)
    type("again")
    #expect(undo.undo()?.text == "" && undo.undo() == nil)
  }

  @Test("undo is a stack of what was there, whatever is done", arguments: 1...5 as ClosedRange<UInt64>)
  func undoModel(seed: UInt64) {
    var random = SeededRandom(seed: seed)
    var undo = UndoHistory()
    var line: [Unicode.Scalar] = []
    for step in 0..<3000 {
      let cursor = Int.random(in: 0...line.count, using: &random)
      func text() -> String { String(String.UnicodeScalarView(line)) }
      switch Int.random(in: 0..<4, using: &random) {
      case 0:
        line.insert("x", at: cursor)
        undo.note(text(), cursor + 1)
      case 1 where cursor < line.count:
        line.remove(at: cursor)
        undo.note(text(), cursor)
      case 2:
        // Some other key: nothing changes.
        undo.note(text(), cursor)
      default:
        guard let state = undo.undo() else { continue }
        #expect(!state.text.hasSameUTF8(as: text()), "seed \(seed), step \(step)")
        line = Array(state.text.unicodeScalars)
        #expect(state.cursor <= line.count, "seed \(seed), step \(step)")
        undo.note(text(), state.cursor)
      }
    }
    var count = 0
    while undo.undo() != nil { count += 1 }
    #expect(count < ShellLimits.undoStatesMax)
  }

  @Test("Ctrl-R narrows with each letter, goes on with the key again, and fails visibly")
  func incrementalSearch() {
    var search = IncrementalSearch(
      ["math.add 1 2", "text.upper a", "math.add 3 4", "math.add 3 4", "servers"], .older)
    #expect(search.text == "(reverse-i-search)`': ")
    for letter in "add".unicodeScalars { search.add(letter) }
    #expect(search.text == "(reverse-i-search)`add': math.add 3 4")
    search.next(.older)
    #expect(search.match == "math.add 1 2" && !search.isFailing)
    search.next(.older)
    #expect(search.text == "(failed reverse-i-search)`add': math.add 1 2")
    search.next(.newer)
    #expect(search.text == "(i-search)`add': math.add 3 4")
    for letter in "zz".unicodeScalars { search.add(letter) }
    #expect(search.isFailing && search.match == "math.add 3 4")
    // Backspace takes back what each key did.
    for _ in 0..<2 { #expect(search.removeLast() == true) }
    #expect(!search.isFailing && search.match == "math.add 3 4")
    while search.removeLast() {}
    #expect(search.match == nil && search.pattern.isEmpty)
    var empty = IncrementalSearch([], .older)
    empty.add("x")
    empty.next(.older)
    empty.next(.newer)
    #expect(empty.isFailing && empty.match == nil)
  }

  @Test(
    "names match patterns",
    arguments: [
      ("text", "text", true), ("te*", "text", true), ("*", "", true), ("?", "", false), ("?", "é", true),
      ("*a*d", "math.add", true), ("a*", "math.add", false), ("*.add", "math.add", true),
      ("m?th*", "math.add", true),
      ("**", "x", true), ("", "x", false), ("*aab", "aaaab", true),
    ])
  func patterns(pattern: String, name: String, isMatch: Bool) {
    #expect(NamePattern(pattern).matches(name) == isMatch)
  }

  @Test("a paste loses its control characters and its last line end")
  func paste() {
    #expect(LineEditor.cleaned("a\r\nb\rc\td\u{1b}[31m\u{0}e\n\n") == "a\nb\nc  d[31me")
  }

  @Test("a recording is written and read back, and finds what differs")
  func recording() throws {
    let value = Recording.text("math.add 1 2", .value(3, .milliseconds(2)))
    #expect(value == "math.add 1 2\n#= 3\n#< 100 ms\n")
    let failed = Recording.text("x", .failure(.usage("unknown command 'x'")))
    #expect(failed == "x\n#! UsageError: unknown command 'x'\n")
    let recording = try Recording(
      parsing: Recording.header("c1") + value + failed + "clock.now\n#= *\nuse s1\n")
    #expect(recording.entries.map(\.line.written) == ["math.add 1 2", "x", "clock.now", "use s1"])
    #expect(recording.entries.map(\.number) == [4, 7, 9, 11])
    let entry = recording.entries[0]
    #expect(entry.expectation == .value(3) && entry.budget == .milliseconds(100))
    #expect(Recording.mismatch(entry, .value(3, .milliseconds(5))) == nil)
    #expect(Recording.mismatch(entry, .value(4, .milliseconds(5))) == "expected 3, got 4")
    #expect(Recording.mismatch(entry, .value(3, .milliseconds(500))) == "took 500 ms, more than 100 ms")
    #expect(Recording.mismatch(recording.entries[1], .failure(.usage("unknown command 'x'"))) == nil)
    #expect(Recording.mismatch(recording.entries[2], .value("now", .zero)) == nil)
    #expect(Recording.mismatch(recording.entries[3], .nothing) == nil)
    #expect(recording.checks == 3)
    // Keys have no order, letters have bytes.
    func matches(_ expected: String, _ value: Value) throws -> Bool {
      let entry = try Recording(parsing: "x\n#= \(expected)\n").entries[0]
      return Recording.mismatch(entry, .value(value, .zero)) == nil
    }
    #expect(try matches("{\"a\": 1, \"b\": 2}", ["b": 2, "a": 1]))
    #expect(try matches("\"e\u{301}\"", "e\u{301}") && !matches("\"\u{e9}\"", "e\u{301}"))
    #expect(throws: CommandFailure.self) { try Recording(parsing: "x\n#= {bad\n") }
  }
}
