import Foundation
import TestSupport
import Testing

@Suite("Completion of the programs' command lines", .serialized)
struct CompletionTests {
  /// Lines as somebody types them before Tab, and the words that the shell has then.
  static let lines: [(typed: String, words: [String])] = [
    ("rpc-client --as off", ["rpc-client", "--as", "office"]),
    ("rpc-client --config other.yaml --as of", ["rpc-client", "--config", "other.yaml", "--as", "offshore"]),
    ("rpc-client -c 'call al", ["rpc-client", "-c", "call alpha"]),
    ("rpc-client -c 'call alpha math.a", ["rpc-client", "-c", "call alpha math.add"]),
    ("rpc-client --exit", ["rpc-client", "--exit-on-error"]),
    ("initializer apply --server al", ["initializer", "apply", "--server", "alpha"]),
    (
      "initializer apply other.yaml --server om", ["initializer", "apply", "other.yaml", "--server", "omega"]
    ),
    ("initializer unl", ["initializer", "unlock"]),
    // Without a command.
    ("initializer --dry", ["initializer", "--dry-run"]),
    ("initializer --ver", ["initializer", "--version"]),
    ("initializer oth", ["initializer", "other.yaml"]),
    ("initializer other.yaml --server om", ["initializer", "other.yaml", "--server", "omega"]),
    ("initializer --force --output hu", ["initializer", "--force", "--output", "human"]),
    ("rpc-bench node.ex", ["rpc-bench", "node.example"]),
    ("rpc-bench node.example 7", ["rpc-bench", "node.example", "7001"]),
    ("rpc-bench node.example 7001 math.", ["rpc-bench", "node.example", "7001", "math.add"]),
    (
      "rpc-bench node.example 7001 math.add --mode bl",
      ["rpc-bench", "node.example", "7001", "math.add", "--mode", "blocking"]
    ),
    ("rpc-server node.example 7", ["rpc-server", "node.example", "7001"]),
    ("rpc-server --tls req", ["rpc-server", "--tls", "required"]),
    ("rpc-server --config nod", ["rpc-server", "--config", "node.yaml"]),
  ]

  static let network = """
    network:
      servers:
        - alpha: {ip: node.example, port: 7001}
        - beta: {ip: other.example, port: 9002}
      clients:
        - office: {ip: 127.0.0.1}
    service:
      - math: {providers: [alpha], tenants: [office], rpcs: [add]}
      - text: {providers: [beta], tenants: [office], rpcs: [join]}
    rpc:
      math:
        - add: {args: [int, int], returns: [int], src: none.lua}
      text:
        - join: {args: [], returns: [], src: none.lua}
    """

  @Test("Tab completes what init.yaml names", arguments: ["bash", "zsh", "fish"])
  func completes(_ name: String) throws {
    let folder = TemporaryDirectory()
    try folder.write(Self.network, to: "init.yaml")
    try folder.write(
      Self.network.replacing("office", with: "offshore").replacing("alpha", with: "omega"), to: "other.yaml")
    try folder.write("host: 127.0.0.1\n", to: "node.yaml")
    let written = try run(
      "\(Programs.repository)/Scripts/completions", [folder.file("share")],
      environment: ["RPC_BIN_DIR": Programs.directory])
    #expect(written.ending == .code(0), "\(written)")
    let shell = try TypedShell(name, in: folder)
    for line in Self.lines {
      let words = try shell.complete(line.typed)
      #expect(words == line.words, "\(name): \(line.typed)")
    }
  }

  @Test("a file that is missing or wrong completes nothing and says nothing")
  func silent() throws {
    let folder = TemporaryDirectory()
    try folder.write("network: [\n", to: "wrong.yaml")
    for file in ["wrong.yaml", "none.yaml"] {
      let outcome = try run(
        Programs.shell,
        ["---completion", "--", "--as", "4", "0", "rpc-client", "--config", file, "--as", ""],
        environment: ["SAP_SHELL": "bash"], directory: folder.path)
      #expect(
        outcome.output.trimmingCharacters(in: .newlines).isEmpty && outcome.errors.isEmpty, "\(outcome)")
    }
  }

  @Test("what a shell would run is never put into its hands")
  func harmless() throws {
    let folder = TemporaryDirectory()
    try folder.write(Self.network, to: "init.yaml")
    for typed in ["'call alpha $(touch x) ", "\"call alpha `touch x` m", "'call alpha \\$x m"] {
      let outcome = try run(
        Programs.shell, ["---completion", "--", "-c", "2", "0", "rpc-client", "-c", typed],
        environment: ["SAP_SHELL": "bash"], directory: folder.path)
      #expect(outcome.output.trimmingCharacters(in: .newlines).isEmpty, "\(outcome)")
    }
  }
}

/// A shell at a terminal, with the programs' completions.
private final class TypedShell {
  private let terminal: TypedTerminal
  private let process: ChildProcess
  private var count = 0

  init(_ name: String, in folder: TemporaryDirectory) throws {
    terminal = try TypedTerminal()
    let path = ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin"
    let share = folder.file("share")
    let options: [String: (arguments: [String], start: String)] = [
      "bash": (
        ["--noprofile", "--norc", "-i"],
        "bind 'set bell-style none'; for f in \(share)/bash-completion/completions/*; do source $f; done"
      ),
      "zsh": (
        ["-f", "-i"],
        "fpath=(\(share)/zsh/vendor-completions $fpath); autoload -Uz compinit; compinit -u -D; unsetopt beep"
      ),
      "fish": (
        ["--no-config", "--private", "-i"], "set -p fish_complete_path \(share)/fish/vendor_completions.d"
      ),
    ]
    guard let option = options[name] else { throw Failure("no shell \(name)") }
    process = try ChildProcess(
      name, option.arguments,
      environment: [
        "PATH": "\(Programs.directory):\(path)", "TERM": "xterm", "LC_ALL": "C.UTF-8", "HOME": folder.path,
        "XDG_DATA_HOME": folder.path, "HISTFILE": nil,
      ], directory: folder.path, terminal: terminal.path)
    // The terminal must be the shell's before anything is typed: what it says itself tells that.
    terminal.type(option.start + "\r")
    _ = try printed("ready")
  }

  deinit { process.killAtOnce() }

  /// The words of a line after Tab, as the shell gives them to a command.
  func complete(_ line: String) throws -> [String] {
    // Another command is put before the line, which prints its words.
    try printed("\(line)\t\u{1}", thenRun: true)
  }

  private func printed(_ line: String, thenRun: Bool = false) throws -> [String] {
    count += 1
    let mark = "mark\(count)"
    terminal.type(thenRun ? "\(line)printf '<%s>' \(mark) \r" : "printf '<%s>' \(mark) \(line)\r")
    terminal.type("printf '<%s>' end\(count)\r")
    return try terminal.take("the words behind '\(mark)'") { shown -> [String]? in
      guard let end = shown.range(of: "<end\(count)>"),
        let start = shown[..<end.lowerBound].range(of: "<\(mark)>", options: .backwards)
      else { return nil }
      let line = shown[start.upperBound...].prefix { $0 != "\r" && $0 != "\n" && $0 != "\u{1b}" }
      return line.matches(of: #/<([^>]*)>/#).map { String($0.output.1) }
    }
  }
}
