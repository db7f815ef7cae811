import Glibc
import RPCServer
import RPCSystem
import RPCWire
import TestSupport
import Testing

@testable import RPCShell

/// What terminals, signals and other programs do to the prompt: each trap that line editors are known to fall into.
@Suite(.serialized) struct PromptTrapTests {
  static let network = Swift.Result { try LiveNetwork() }
  private let network: LiveNetwork

  init() throws {
    Terminal.chooseLocale()
    network = try Self.network.get()
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
    try terminal.wait(for: "..\">")
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
    let folder = TemporaryDirectory()
    try folder.write("use s1\nset slow 2s\n", to: "rc")
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
    try terminal.wait(for: "too many arguments")
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
    let folder = TemporaryDirectory()
    let socket = folder.path + "/tmux"
    let program = try Built.program("rpc-client")
    func run(_ arguments: [String]) throws -> String {
      let command = ([tmux, "-S", socket, "-f", "/dev/null"] + arguments).map {
        "'" + $0.replacing("'", with: "'\\''") + "'"
      }
      .joined(separator: " ")
      _ = try ChildProcess.start(["/bin/sh", "-c", "\(command) > '\(folder.path)/out' 2>&1"]).wait()
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

  @Test("a hint that is longer than the row is cut, and leaves nothing behind")
  func narrowHint() throws {
    let terminal = try network.terminal(["-q"], columns: 34)
    try terminal.waitForPrompt()
    terminal.send("text.concat ")
    try terminal.wait("the hint, cut") {
      $0.currentLine.contains("rpc> text.concat a") && $0.currentLine.contains("…")
    }
    #expect(terminal.screen.row == 0 && terminal.screen.column == 17)
    terminal.send("\u{15}text.upper x\r")
    try terminal.wait(for: "$1 = X")
    #expect(terminal.screen.text.components("→") == 0)
  }
}
