import Glibc
import RPCServer
import RPCWire
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
    let folder = try TemporaryFolder()
    let environment: [String: String?] = ["RPC_HISTFILE": folder.path + "/history"]
    let terminal = try network.terminal(environment: environment)
    try terminal.waitForPrompt()
    terminal.send("text.upper \"one\r")
    try terminal.wait("a second row") { $0.row > 0 && $0.column == 0 && $0.currentLine.isEmpty }
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

  @Test("news appear above the line being typed, which stays as it is")
  func news() throws {
    let other = try LiveNetwork()
    let terminal = try other.terminal()
    try terminal.waitForPrompt()
    try terminal.wait(for: "1/2 up")
    terminal.send("text.upper typing")
    try terminal.wait(for: "typing → str")
    other.server.stopNow()
    try terminal.wait("the news") { $0.text.contains("* s1 is") }
    try terminal.wait("the line below them") {
      $0.currentLine.hasPrefix("rpc> text.upper typing") && $0.currentLine.hasSuffix("0/2 up")
    }
    let rows = terminal.screen.text.split(separator: "\n")
    #expect(rows.filter { $0.contains("text.upper typing") }.count == 1)
    terminal.send("\u{3}\u{4}")
    #expect(try terminal.waitForEnd() == 0)
  }

  @Test("a resized window shows the line once, wrapped anew")
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

  @Test("signals leave the terminal sane", arguments: [SIGTERM, SIGHUP, SIGSEGV, SIGABRT])
  func signals(number: Int32) throws {
    let terminal = try network.terminal()
    try terminal.waitForPrompt()
    terminal.send("half a line")
    try terminal.wait(for: "half a line")
    #expect(!terminal.isSane)
    kill(terminal.process, number)
    #expect(try terminal.waitForEnd() == 128 + number)
    #expect(terminal.isSane && !terminal.screen.pastes)
  }

  @Test("SIGTERM during a call ends both")
  func terminateDuringCall() async throws {
    let terminal = try network.terminal()
    try terminal.waitForPrompt()
    let before = network.calls.counts
    terminal.send("text.wait 60000\r")
    #expect(await network.calls.wait { $0.started > before.started })
    kill(terminal.process, SIGTERM)
    #expect(try terminal.waitForEnd() == 128 + SIGTERM)
    #expect(await network.calls.wait { $0.cancelled > before.cancelled })
    #expect(terminal.isSane)
  }

  @Test("a terminal that can do nothing gets no escapes")
  func dumb() throws {
    let terminal = try network.terminal(environment: ["TERM": "dumb"])
    try terminal.wait(for: "rpc>")
    terminal.send("text.upper \"a\n")
    try terminal.wait(for: "...")
    terminal.send("b\"\n")
    try terminal.wait(for: "B")
    terminal.send("\u{3}")
    terminal.send("quit\n")
    #expect(try terminal.waitForEnd() == 0)
    #expect(!terminal.bytes.contains(0x1b))
  }

  @Test("NO_COLOR takes the colours, and --color brings them back")
  func colors() throws {
    func colored(_ arguments: [String], _ environment: [String: String?]) throws -> Bool {
      let terminal = try network.terminal(arguments, environment: environment)
      try terminal.waitForPrompt()
      terminal.send("\u{4}")
      _ = try terminal.waitForEnd()
      return String(decoding: terminal.bytes, as: UTF8.self).contains("\u{1b}[1;36m")
    }
    #expect(try colored([], [:]))
    #expect(try !colored([], ["NO_COLOR": "1"]))
    #expect(try colored(["--color", "always"], ["NO_COLOR": "1"]))
    #expect(try !colored(["--color", "never"], [:]))
  }

  @Test("in a locale without UTF-8 characters still come whole")
  func locale() throws {
    let terminal = try network.terminal(environment: ["LANG": nil, "LC_ALL": "C"])
    try terminal.waitForPrompt()
    terminal.send("text.upper é日\r")
    try terminal.wait(for: "É日")
  }

  @Test("the startup file is read, and -X leaves it out")
  func startupFile() throws {
    let folder = try TemporaryFolder()
    try folder.write("rc", "use s1\nset slow 2s\n")
    let environment: [String: String?] = ["RPC_RCFILE": folder.path + "/rc"]
    let terminal = try network.terminal(environment: environment)
    try terminal.waitForPrompt("@s1 rpc>")
    let without = try network.terminal(["-X"], environment: environment)
    try without.waitForPrompt()
  }

  @Test("long output is paged")
  func pager() throws {
    let terminal = try network.terminal(rows: 10, environment: ["PAGER": "sed 's/^/paged: /'"])
    try terminal.waitForPrompt()
    terminal.send("help\r")
    try terminal.wait(for: "paged: ")
    try terminal.waitForPrompt()
  }

  @Test("Ctrl-Z stops the shell and fg brings the line back")
  func suspend() throws {
    let program = try Built.program("rpc-client")
    let terminal = try TerminalSession(
      ["/bin/bash", "--norc", "--noediting", "-i"], environment: ["PS1": "sh$ "])
    try terminal.wait(for: "sh$")
    terminal.send("'\(program)' -q --config '\(network.config)'\n")
    try terminal.wait("the prompt") { $0.currentLine.hasPrefix("rpc>") && $0.pastes }
    terminal.send("text.upper before")
    try terminal.wait(for: "text.upper before")
    terminal.send("\u{1a}")
    try terminal.wait(for: "Stopped")
    #expect(!terminal.screen.pastes)
    terminal.send("fg\n")
    try terminal.wait("the line again") { $0.currentLine.hasPrefix("rpc> text.upper before") && $0.pastes }
    terminal.send("\r")
    try terminal.wait(for: "BEFORE")
    terminal.send("\u{4}")
    try terminal.wait("bash again") { $0.currentLine.hasSuffix("sh$") }
    terminal.send("exit\n")
    _ = try terminal.waitForEnd()
  }

  @Test("keys of emacs, and those of a keyboard with arrows")
  func keys() throws {
    let terminal = try network.terminal()
    try terminal.waitForPrompt()
    terminal.send("upper b\u{1}text.\u{5}c\r")
    try terminal.wait(for: "$1 = BC")
    try terminal.waitForPrompt()
    terminal.send("text.upper one two\u{1b}[1;5D\u{1b}[1;5D\"\u{1b}[F\"\r")
    try terminal.wait(for: "ONE TWO")
    try terminal.waitForPrompt()
    terminal.send("text.upper xyz\u{1b}[D\u{1b}[D\u{1b}[3~\r")
    try terminal.wait(for: "$3 = XZ")
    try terminal.waitForPrompt()
    terminal.send("text.upper gone\u{17}\u{17}\u{15}text.upper kept\r")
    try terminal.wait(for: "$4 = KEPT")
  }

  @Test("an entry taller than the screen is edited, also after the screen has shrunk")
  func tallEntry() throws {
    let terminal = try network.terminal(rows: 12)
    try terminal.waitForPrompt()
    terminal.send(
      "\u{1b}[200~text.upper \"" + (1...20).map { "row \($0)" }.joined(separator: "\n") + "\"\u{1b}[201~")
    try terminal.wait(for: "row 20\"")
    terminal.resize(columns: 60, rows: 6)
    terminal.send("\r")
    try terminal.wait(for: "ROW 20")
    terminal.send("text.upper fine\r")
    try terminal.wait(for: "$2 = FINE")
  }

  @Test("what is typed ahead of the end is the next program's")
  func typeAhead() throws {
    let program = try Built.program("rpc-client")
    let terminal = try TerminalSession(
      ["/bin/bash", "--norc", "--noediting", "-i"], environment: ["PS1": "sh$ "])
    try terminal.wait(for: "sh$")
    terminal.send("'\(program)' -q --config '\(network.config)'\n")
    try terminal.wait("the prompt") { $0.currentLine.hasPrefix("rpc>") && $0.pastes }
    // With \r, as Enter sends it: the editor has the terminal swap the two.
    terminal.send("quit\recho $((40000 + 2222))\r")
    // Nobody echoes what was typed while the editor had the terminal: the sum may stand behind bash's prompt.
    try terminal.wait(for: "42222")
    terminal.send("exit\n")
    _ = try terminal.waitForEnd()
  }

  @Test("a signal to the shell stays there: nobody else in its process group is hit")
  func signalsStay() throws {
    let program = try Built.program("rpc-client")
    // No job control: the shell, a sibling and the prompt share one group.
    let script =
      "sleep 1000 & sibling=$!; '\(program)' -q --config '\(network.config)'; kill -0 $sibling && echo sibling alive; kill $sibling"
    let terminal = try TerminalSession(["/bin/bash", "--norc", "-c", script])
    try terminal.wait("the prompt") { $0.currentLine.hasPrefix("rpc>") && $0.pastes }
    terminal.send("text.upper @/proc/self/stat\r")
    try terminal.wait(for: "(RPC-CLIENT)")
    let line = terminal.screen.text.split(separator: "\n").first { $0.contains("(RPC-CLIENT)") } ?? ""
    let process = line.split(separator: " ").compactMap { Int32($0) }.first ?? 0
    #expect(process > 1)
    try #require(process > 1)
    kill(process, SIGTERM)
    try terminal.wait(for: "sibling alive")
    _ = try terminal.waitForEnd()
  }

  @Test("a terminal that somebody left non-blocking is read all the same")
  func nonBlocking() throws {
    let program = try Built.program("rpc-client")
    let python =
      "import os,fcntl,sys; fcntl.fcntl(0, fcntl.F_SETFL, fcntl.fcntl(0, fcntl.F_GETFL) | os.O_NONBLOCK); os.execv(sys.argv[1], sys.argv[1:])"
    let terminal = try TerminalSession([
      "/usr/bin/env", "python3", "-c", python, program, "-q", "--config", network.config,
    ])
    try terminal.wait("the prompt") { $0.currentLine.hasPrefix("rpc>") && $0.pastes }
    terminal.send("text.upper still here\u{1b}[D\u{8}\r")
    try terminal.wait(for: "one too many")
    terminal.send("text.upper here\r")
    try terminal.wait(for: "$1 = HERE")
  }

  @Test("binary and hostile pastes do nothing")
  func hostilePaste() throws {
    let terminal = try network.terminal()
    try terminal.waitForPrompt()
    var random = SeededRandom(seed: 3)
    let garbage = (0..<2000).map { _ in UInt8.random(in: 0x80...0xff, using: &random) }
    terminal.send(
      bytes: Array("\u{1b}[200~".utf8) + garbage + [0, 3, 4, 0x1a, 0x1c]
        + Array("!rm -rf /nonexistent\r\u{1b}[201~".utf8))
    terminal.send("\u{15}\u{3}")
    try terminal.wait(for: "^C")
    try terminal.waitForPrompt()
    terminal.send("text.upper alive\r")
    try terminal.wait(for: "$1 = ALIVE")
    #expect(!terminal.screen.text.contains("rm -rf /nonexistent\n"))
  }

  @Test("the same in tmux: colours end where they should, and the screen is as it should be")
  func tmux() throws {
    let tmux = "/usr/bin/tmux"
    guard access(tmux, X_OK) == 0 else { return }
    let folder = try TemporaryFolder()
    let socket = folder.path + "/tmux"
    let program = try Built.program("rpc-client")
    func run(_ arguments: [String]) throws -> String {
      let command = ([tmux, "-S", socket, "-f", "/dev/null"] + arguments).map {
        "'" + $0.replacing("'", with: "'\\''") + "'"
      }
      .joined(separator: " ")
      _ = try ChildProcess.start(["/bin/sh", "-c", "\(command) > '\(folder.path)/out' 2>&1"]).waitNow()
      return try folder.read("out")
    }
    func capture(_ wanted: String, _ isThere: (String) -> Bool) throws -> String {
      let end = ContinuousClock.now + .seconds(20)
      while true {
        let screen = try run(["capture-pane", "-p", "-e", "-t", "shell"])
        if isThere(screen) { return screen }
        guard ContinuousClock.now < end else { throw TerminalSession.NotSeen(wanted: wanted, screen: screen) }
      }
    }
    let shell =
      "unset NO_COLOR; RPC_HISTFILE=/dev/null RPC_RCFILE=/dev/null LC_ALL=C.UTF-8 '\(program)' -q --config '\(network.config)'"
    _ = try run(["new-session", "-d", "-s", "shell", "-x", "70", "-y", "12", shell])
    defer { _ = try? run(["kill-server"]) }
    _ = try capture("the prompt") { $0.contains("> ") && $0.contains("1/2 up") }
    _ = try run(["send-keys", "-t", "shell", "-l", "text.upper 日本 \u{e9}"])
    let screen = try capture("the line") { $0.contains("日本 é") }
    // The prompt is coloured; what is typed is not.
    let line = screen.split(separator: "\n").first { $0.contains("text.upper") } ?? ""
    let end = line.firstRange(of: "rpc\u{1b}[").map { line[$0.lowerBound...] } ?? ""
    let coloursEnd = end.hasPrefix("rpc\u{1b}[0m") || end.hasPrefix("rpc\u{1b}[39m")
    #expect(coloursEnd && end.contains("> text.upper 日本 é"), "\(line.debugDescription)")
    _ = try run(["send-keys", "-t", "shell", "C-u"])
    _ = try run(["send-keys", "-t", "shell", "-l", "math.add 20 22"])
    _ = try run(["send-keys", "-t", "shell", "Enter"])
    let result = try capture("the result") { $0.contains("42") }
    #expect(result.contains("\u{1b}[2m$1 =\u{1b}[0m"), "\(result.debugDescription)")
  }
}

extension String {
  /// How often a text occurs.
  fileprivate func components(_ part: String) -> Int {
    var count = 0
    var rest = self[...]
    while let range = rest.firstRange(of: part) {
      count += 1
      rest = rest[range.upperBound...]
    }
    return count
  }
}
