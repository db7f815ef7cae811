import Foundation
import RPCWire
import TestSupport
import Testing

/// The scripts, on programs that are built already.
@Suite("Scripts")
struct ScriptTests {
  /// A network whose servers the scripts start. Whatever they leave is ended with the test.
  private final class Site {
    let network: Network
    let environment: [String: String?]
    private let names: [String]

    init(_ names: [String] = ["s1", "s2"]) throws {
      self.names = names
      network = try Network(names, start: false)
      try network.directory.write("def concat(number, text):\n    return f'{number}{text}'\n", to: "text.py")
      try network.describe(
        """
        service:
          - text: {providers: [\(names.joined(separator: ", "))], tenants: [me], rpcs: [concat]}
        rpc:
          text:
            - concat: {args: [int, str], returns: [str], src: text.py}
        """)
      environment = ["RPC_BIN_DIR": Programs.directory, "RPC_RUN_DIR": "\(network.directory.path)/run"]
    }

    deinit {
      for name in names { if let pid = pid(name) { kill(-pid, SIGKILL) } }
    }

    func servers(_ arguments: String...) throws -> Outcome {
      try run(
        "\(Programs.repository)/Scripts/servers", arguments + ["--config", network.file],
        environment: environment)
    }

    func demo(_ arguments: [String] = [], input: ChildProcess.Input, terminal: String? = nil) throws
      -> ChildProcess
    {
      try ChildProcess(
        "\(Programs.repository)/Scripts/demo", ["--config", network.file] + arguments, input: input,
        environment: environment, terminal: terminal)
    }

    /// The process that a pid file names.
    func pid(_ name: String) -> pid_t? {
      (try? network.directory.read("run/\(name).pid"))
        .flatMap { pid_t($0.trimmingCharacters(in: .whitespacesAndNewlines)) }
    }

    /// Whether nobody listens on any of the ports.
    var isQuiet: Bool { names.allSatisfy { (try? network.lines($0)) == nil } }
  }

  @Test("servers: start, start again, status, stop, stop again")
  func lifecycle() throws {
    let site = try Site()
    let stopped = try site.servers("status")
    #expect(stopped.ending == .code(1))
    #expect(stopped.output.contains("stopped"))
    let started = try site.servers("start")
    #expect(started.ending == .code(0), "\(started)")
    let first = try #require(site.pid("s1"))
    // Daemons: each the leader of a session of its own.
    #expect(getsid(first) == first)
    #expect(try site.network.lines("s2").call("system.ping") == .values(["pong"]))
    let again = try site.servers("start")
    #expect(again.ending == .code(0))
    #expect(again.output.contains("s1 runs already"))
    #expect(site.pid("s1") == first)
    try site.network.deploy()
    let status = try site.servers("status")
    #expect(status.ending == .code(0), "\(status)")
    #expect(
      status.lines.contains { $0.wholeMatch(of: /s1 +127\.0\.0\.1:\d+ +\d+ +up +1/) != nil }, "\(status)")
    let ended = try site.servers("stop")
    #expect(ended.ending == .code(0))
    #expect(ended.output.contains("s1 stopped"))
    #expect(site.isQuiet)
    #expect(site.pid("s1") == nil)
    let nothing = try site.servers("stop")
    #expect(nothing.ending == .code(0))
    #expect(nothing.output.contains("s1 does not run"))
  }

  @Test("servers: a restart keeps what was deployed, and only the named one is touched")
  func restarts() throws {
    let site = try Site()
    _ = try site.servers("start")
    try site.network.deploy()
    let before = (site.pid("s1"), site.pid("s2"))
    let outcome = try site.servers("restart", "s1")
    #expect(outcome.ending == .code(0), "\(outcome)")
    #expect(site.pid("s1") != before.0)
    #expect(site.pid("s2") == before.1)
    #expect(try site.network.lines("s1").call("text.concat", #"[32,"hello"]"#) == .values(["32hello"]))
    let logs = try site.servers("logs", "s1")
    #expect(logs.ending == .code(0))
    #expect(logs.output.contains("listening on"))
    let file = try site.network.directory.read("run/s1.log")
    #expect(file.contains("text.concat(int, str) ok") || logs.output.contains("connection from"))
  }

  @Test("servers: a port in use is reported with who holds it, the others start")
  func portInUse() throws {
    let site = try Site()
    let holder = try Network(["s1"], start: false)
    let other = try ChildProcess(
      Programs.server,
      ["127.0.0.1", "\(site.network.port("s1"))", "--data", "\(holder.directory.path)/data"])
    defer { other.killAtOnce() }
    try other.waitForLine("listening on")
    let outcome = try site.servers("start")
    #expect(outcome.ending == .code(1))
    #expect(outcome.errors.contains("in use by process \(other.pid) ("), "\(outcome)")
    #expect(outcome.errors.contains("rpc-server"))
    #expect(outcome.output.contains("s2 started"))
    let status = try site.servers("status")
    #expect(status.output.contains("in use by process \(other.pid)"))
    _ = try site.servers("stop")
    #expect(other.isRunning)
  }

  @Test("servers: a pid file of a process that is gone, or another's, is not a server")
  func stalePid() throws {
    let site = try Site(["s1"])
    try site.network.directory.write("\(getpid())\n", to: "run/s1.pid")
    #expect(try site.servers("status").output.contains("stopped"))
    #expect(try site.servers("stop").ending == .code(0))
    #expect(try site.servers("start").ending == .code(0))
    let killed = try #require(site.pid("s1"))
    kill(killed, SIGKILL)
    let outcome = try site.servers("start")
    #expect(outcome.ending == .code(0), "\(outcome)")
    #expect(site.pid("s1") != killed)
    _ = try site.servers("stop")
  }

  @Test("servers: wrong words, names and files end with 2 and say what would be right")
  func wrongUse() throws {
    let site = try Site()
    let unknown = try site.servers("start", "s9")
    #expect(unknown.ending == .code(2))
    #expect(unknown.errors.contains("s1 s2"), "\(unknown)")
    #expect(try site.servers("begin").ending == .code(2))
    try site.network.describe("service: []\nservcie: []\n")
    let wrong = try site.servers("start")
    #expect(wrong.ending == .code(2))
    #expect(wrong.errors.contains("servcie"), "\(wrong)")
    #expect(site.isQuiet)
  }

  @Test("demo: with a pipe it runs the script, results alone on stdout, and stops what it started")
  func demoPiped() throws {
    let site = try Site()
    let demo = try site.demo(input: .text("call s1 text.concat 32 hello\ncall s2 text.concat 1 a\n"))
    defer { demo.killAtOnce() }
    #expect(try demo.waitForEnd(seconds: 120) == .code(0), "\(demo.errorText)")
    #expect(demo.outputText == "32hello\n1a\n", "\(demo.errorText)")
    #expect(site.isQuiet)
  }

  @Test("demo: a command that fails ends it with the shell's code, and servers that ran before run on")
  func demoFailure() throws {
    let site = try Site()
    #expect(try site.servers("start", "s1").ending == .code(0))
    let before = site.pid("s1")
    let demo = try site.demo(input: .text("call s1 text.concat a b\n"))
    defer { demo.killAtOnce() }
    #expect(try demo.waitForEnd(seconds: 120) == .code(1))
    #expect(demo.errorText.contains("InvalidArguments"))
    #expect(site.pid("s1") == before)
    #expect(try site.network.lines("s1").call("system.ping") == .values(["pong"]))
    #expect(throws: Failure.self) { try site.network.lines("s2") }
    _ = try site.servers("stop")
  }

  @Test(
    "demo: a signal at any point leaves nothing behind", arguments: [SIGINT, SIGTERM, SIGHUP], [true, false])
  func demoInterrupted(_ signal: Int32, isForAll: Bool) throws {
    let site = try Site()
    for step in ["starting the servers", "distributing the procedures", "ready"] {
      // A script that never ends keeps the shell waiting for its next line.
      let demo = try site.demo(input: .pipe)
      if step == "ready" {
        demo.send("call s1 text.concat 32 hello\n")
        try demo.waitForLine("32hello")
      } else {
        try demo.waitForLine(step, on: .errors)
      }
      // As a terminal does it, to everybody in the foreground, or as `kill` does.
      if isForAll { demo.signalGroup(signal) } else { demo.signal(signal) }
      let ending = try demo.waitForEnd(seconds: 120)
      #expect(ending != .code(0), "\(step)")
      #expect(site.isQuiet, "\(step)")
      #expect(site.pid("s1") == nil, "\(step)")
    }
  }

  @Test("demo: on a terminal it opens the shell, whose Ctrl-C ends nothing and whose Ctrl-D ends all")
  func demoOnTerminal() throws {
    let site = try Site()
    let terminal = try TypedTerminal()
    let demo = try site.demo(input: .none, terminal: terminal.path)
    defer { demo.killAtOnce() }
    try terminal.waitFor("rpc>")
    terminal.type("call s1 text.concat 32 hello\r")
    try terminal.waitFor("= 32hello")
    terminal.type("half a line\u{3}")
    terminal.type("call s2 text.concat 7 up\r")
    try terminal.waitFor("= 7up")
    #expect(!site.isQuiet)
    terminal.type("\u{4}")
    #expect(try demo.waitForEnd(seconds: 120) == .code(0))
    #expect(site.isQuiet)
  }

  @Test("setup has nothing to do where everything is there, and says nothing")
  func setup() throws {
    let outcome = try run("\(Programs.repository)/Scripts/setup")
    #expect(outcome.ending == .code(0))
    #expect(outcome.output.isEmpty && outcome.errors.isEmpty, "\(outcome)")
  }
}
