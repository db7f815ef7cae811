import Foundation
import TestSupport

/// Somebody who reads a document and does what it says, in order: one terminal for commands, one for each
/// server, one for the `rpc>` shell.
final class DocumentReader {
  private let root: String
  private let home: TemporaryDirectory
  private let bash: ChildProcess
  private var environment: [String: String?]
  private var commands = 0
  /// Servers by their port: another one on the port means that the reader ended the first.
  private var servers: [String: ChildProcess] = [:]
  private var shell: (terminal: TypedTerminal, process: ChildProcess)?
  private let ports: [(document: String, ours: String)]

  /// - Parameter ports: the documents' ports, each with the free one that takes its place.
  init(ports: [(document: String, ours: String)]) throws {
    self.ports = ports
    home = TemporaryDirectory()
    root = "\(home.path)/SimpleRPC"
    try FileManager.default.createDirectory(atPath: root, withIntermediateDirectories: true)
    for name in ["README.md", "Docs", "Scripts", "services", "Clients", "Examples"] {
      try FileManager.default.copyItem(atPath: "\(Programs.repository)/\(name)", toPath: "\(root)/\(name)")
    }
    let path = ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin"
    environment = [
      "PATH": "\(Programs.directory):\(path)", "RPC_BIN_DIR": Programs.directory, "HOME": home.path,
      "TERM": "dumb", "NO_COLOR": "1", "PAGER": "cat", "RPC_HISTFILE": "/dev/null", "LC_ALL": "C.UTF-8",
      "XDG_CONFIG_HOME": nil, "XDG_STATE_HOME": nil, "XDG_DATA_HOME": nil, "RPC_KEY": nil, "RPC_RUN_DIR": nil,
      "RPC_RCFILE": nil,
    ]
    bash = try ChildProcess(
      "bash", ["--noprofile", "--norc"], input: .pipe, environment: environment, directory: root)
    try write(
      String(
        decoding: try Data(contentsOf: URL(fileURLWithPath: "\(Programs.repository)/init.yaml")),
        as: UTF8.self), to: "\(root)/init.yaml")
  }

  deinit {
    shell?.process.killAtOnce()
    for server in servers.values { server.killAtOnce() }
    _ = try? execute("Scripts/servers stop --config '\(root)/init.yaml' || true", in: root)
    bash.killAtOnce()
  }

  // MARK: Ports

  private func withOurPorts(_ text: String) -> String {
    ports.reduce(text) { $0.replacingOccurrences(of: $1.document, with: $1.ours) }
  }

  private func withDocumentsPorts(_ text: String) -> String {
    ports.reduce(text) { $0.replacingOccurrences(of: $1.ours, with: $1.document) }
  }

  private func write(_ text: String, to path: String) throws {
    try withOurPorts(text).write(toFile: path, atomically: true, encoding: .utf8)
  }

  // MARK: Doing

  /// Does what a step says; returns how the outcome differs from what is shown, or nil.
  func perform(_ step: DocumentBlock.Step) throws -> String? {
    switch step {
    case .file(let name, let text):
      try write(text, to: "\(currentDirectory())/\(name)")
      // The settings of a server are YAML too.
      guard name.hasSuffix(".yaml"), text.contains("network:") else { return nil }
      // Reading it asks no server.
      let (output, code) = try execute("rpc-client --config '\(name)' -c help", in: nil)
      return code == "0" ? nil : output
    case .python(let program, let shown):
      let outcome = try run(
        "python3", ["-c", withOurPorts(program)], environment: environment, directory: currentDirectory())
      guard outcome.ending == .code(0) else { return "\(outcome)" }
      return compare(shown.map { [$0] }, outcome.output)
    case .command(let command, let shown):
      let words = DocumentBlock.Step.withoutComment(command)
      let isOver = ["--check", "--print-config", "--print-pin"].contains { words.contains($0) }
      if words.hasPrefix("rpc-server "), !isOver { return try startServer(command, shown) }
      if words == "rpc-client" || words == "Scripts/demo" { return try openShell(command, shown) }
      let (output, code) = try execute(command, in: nil)
      // A command that fails is shown with its error.
      if code != "0", (shown ?? []).isEmpty { return "it ended with \(code):\n\(output)" }
      return compare(shown, output)
    case .shellLine(let line, let shown):
      if shell == nil { _ = try openShell("rpc-client", nil) }
      return compare(shown, try type(line))
    }
  }

  private func compare(_ shown: [String]?, _ output: String) -> String? {
    guard let shown else { return nil }
    let actual = withDocumentsPorts(output).split(separator: "\n", omittingEmptySubsequences: false)
    return ShownOutput.difference(shown: shown, actual: actual.map(String.init))
  }

  private func currentDirectory() throws -> String {
    try execute("pwd", in: nil).output.trimmingCharacters(in: .newlines)
  }

  /// Runs a command in the first terminal, where `cd` and variables last.
  private func execute(_ command: String, in directory: String?) throws -> (output: String, code: String) {
    commands += 1
    let (begin, end) = ("<begin \(commands)>\n", "<end \(commands) ")
    let body = directory.map { "cd '\($0)' && { \(withOurPorts(command))\n}" } ?? withOurPorts(command)
    bash.send("echo '\(begin.dropLast())'; { \(body)\n} 2>&1 </dev/null; echo \"\(end)$?>\"\n")
    return try bash.waitFor(.output, "the end of '\(command)'") { said -> (output: String, code: String)? in
      guard let start = said.range(of: begin)?.upperBound,
        let stop = said.range(of: end, range: start..<said.endIndex),
        let last = said.range(of: ">\n", range: stop.upperBound..<said.endIndex)
      else { return nil }
      return (String(said[start..<stop.lowerBound]), String(said[stop.upperBound..<last.lowerBound]))
    }
  }

  private func startServer(_ command: String, _ shown: [String]?) throws -> String? {
    let words = command.split(separator: " ")
    let port = words.count > 2 ? String(words[2]) : ""
    if let before = servers.removeValue(forKey: port) {
      before.signal(SIGINT)
      try before.waitForEnd()
    }
    let server = try ChildProcess(
      "bash", ["-c", "exec \(withOurPorts(command))\n"], environment: environment,
      directory: currentDirectory())
    servers[port] = server
    try server.waitForLine("listening on")
    return (shown ?? []).isEmpty ? nil : compare(shown, server.outputText)
  }

  // MARK: The shell

  private func openShell(_ command: String, _ shown: [String]?) throws -> String? {
    try closeShell()
    let terminal = try TypedTerminal()
    let process = try ChildProcess(
      "bash", ["-c", "exec \(withOurPorts(command))\n"], environment: environment,
      directory: currentDirectory(), terminal: terminal.path)
    shell = (terminal, process)
    let said = try terminal.takeUntilPrompt()
    return (shown ?? []).isEmpty ? nil : compare(shown, said)
  }

  /// Types a line at the prompt; returns what was shown until the next one.
  private func type(_ line: String) throws -> String {
    guard let shell else { throw Failure("no shell is open") }
    var line = line
    line.replace(#/\ {4,}\d+/\d+ up$/#, with: "")
    shell.terminal.type(withOurPorts(line) + "\r")
    if ["exit", "quit"].contains(line) {
      try shell.process.waitForEnd()
      self.shell = nil
      return ""
    }
    let said = try shell.terminal.takeUntilPrompt()
    // The line itself, as the terminal shows it.
    return said.split(separator: "\n", omittingEmptySubsequences: false).dropFirst().joined(separator: "\n")
  }

  func closeShell() throws {
    guard shell != nil else { return }
    _ = try type("quit")
  }
}

extension TypedTerminal {
  /// Waits for the shell's prompt at the end of what was shown; returns what was shown before it.
  func takeUntilPrompt() throws -> String {
    try take("the shell's prompt") { shown in
      let text = shown.replacingOccurrences(of: "\r\n", with: "\n")
      return text.firstMatch(of: #/(?s)^(.*?)(^|\n)rpc> $/#).map { String($0.output.1) }
    }
  }
}
