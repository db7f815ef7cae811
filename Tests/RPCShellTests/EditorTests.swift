import Glibc
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
      // Once edited, the search begins anew.
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
    #expect(Secrets.contains(line, await TestShell().knowledge()) == isSecret)
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
    #expect(throws: CommandFailure.self) { try Recording(parsing: "x\n#= {bad\n") }
  }
}
