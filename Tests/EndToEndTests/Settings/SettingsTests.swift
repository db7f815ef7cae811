import Foundation
import RPCWire
import TestSupport
import Testing

@Suite("What rpc-server is told by a file and the environment")
struct SettingsTests {
  /// A flag as the parser describes it.
  struct Flag {
    var name: String
    var kind: String
    var isRepeating: Bool
    var values: [String]
    var fallback: String?

    var variable: String { "RPC_SERVER_" + name.uppercased().replacing("-", with: "_") }
  }

  /// Every flag that says something about the server, from the program itself: nobody lists them.
  static func flags() throws -> [Flag] {
    let json = try Value(json: try run(Programs.server, ["--experimental-dump-help"]).output)
    let actions: Set = ["config", "check", "print-config", "print-pin", "help", "version"]
    return try #require(json["command"]?["arguments"]?.listValue).compactMap { argument in
      let kind = argument["kind"]?.stringValue ?? ""
      let name = kind == "positional" ? argument["valueName"] : argument["preferredName"]?["name"]
      guard let name = name?.stringValue, !actions.contains(name) else { return nil }
      return Flag(
        name: name, kind: kind, isRepeating: argument["isRepeating"]?.boolValue ?? false,
        values: (argument["allValues"]?.listValue ?? []).compactMap(\.stringValue),
        fallback: argument["defaultValue"]?.stringValue)
    }
  }

  /// A value that the flag takes all by itself.
  static func sample(_ flag: Flag, in folder: TemporaryDirectory) throws -> String {
    if flag.name == "host" { return "127.0.0.1" }
    if flag.name == "port" { return "8181" }
    if flag.kind == "flag" { return "true" }
    if let last = flag.values.last { return last }
    if let fallback = flag.fallback { return fallback }
    for value in ["/srv/x", folder.path, "1048576", "https://example.org", "name"] {
      let file = try folder.write("host: h\nport: 1\n\(flag.name): \"\(value)\"\n", to: "one.yaml")
      let outcome = try run(Programs.server, ["--config", file, "--print-config"])
      // What must go together with another flag is refused by the flag's name, not by the value's place.
      if !outcome.errors.contains(file) { return value }
    }
    Issue.record("no value of --\(flag.name) can be set by a file alone: does it belong into checkTogether?")
    return ""
  }

  @Test("every flag has its key in a file and its variable, and both count")
  func everyFlag() throws {
    let folder = TemporaryDirectory()
    let flags = try Self.flags()
    #expect(flags.count > 60)
    let samples = try flags.map { ($0, try Self.sample($0, in: folder)) }
    let file = try folder.write(
      samples.map { "\($0.name): \"\($1)\"\n" }.joined().replacing(": \"true\"", with: ": true"),
      to: "all.yaml")
    let fromFile = try run(Programs.server, ["--config", file, "--print-config"])
    #expect(fromFile.ending == .code(0), "\(fromFile)")
    var variables: [String: String?] = [:]
    for (flag, value) in samples { variables[flag.variable] = value }
    let fromVariables = try run(Programs.server, ["--print-config"], environment: variables)
    #expect(fromVariables.ending == .code(0), "\(fromVariables)")
    for (index, flag) in flags.enumerated() {
      func isTold(_ outcome: Outcome, by origin: String) -> Bool {
        outcome.lines.contains { $0.hasPrefix("\(flag.name): ") && $0.hasSuffix("# \(origin)") }
      }
      #expect(
        isTold(fromFile, by: "\(file):\(index + 1):\(flag.name.count + 3)"), "\(flag.name) in \(fromFile)")
      #expect(isTold(fromVariables, by: flag.variable), "\(flag.name) in \(fromVariables)")
    }
    #expect(fromFile.lines.filter { $0.contains(": ") && !$0.hasPrefix("#") }.count == flags.count)
  }

  @Test("what --print-config prints is a file that says the same")
  func printedFile() throws {
    let folder = TemporaryDirectory()
    let first = try run(
      Programs.server,
      [
        "::1", "0", "--print-config", "--allow-path", "/a b", "--allow-path=/c", "--allow-get", "--loops",
        "3",
      ])
    #expect(first.ending == .code(0), "\(first)")
    let file = try folder.write(first.output, to: "printed.yaml")
    let second = try run(Programs.server, ["--config", file, "--print-config"])
    func values(_ outcome: Outcome) -> [String] {
      outcome.lines.filter { !$0.hasPrefix("#") }.map { line in
        String(line.split(separator: "  # ")[0]).trimmingCharacters(in: .whitespaces)
      }
    }
    #expect(values(first) == values(second))
    #expect(second.output.contains("allow-path: [\"/a b\", /c]"), "\(second)")
  }

  @Test("all that is wrong with a file is told with its place, and nothing is served")
  func wrongFile() throws {
    let folder = TemporaryDirectory()
    let file = try folder.write(
      "host: 127.0.0.1\nport: 70000\nmax-frame: 1\nmax-fram: 1\nlog-level: loud\nbacklog: many\n",
      to: "wrong.yaml")
    let outcome = try run(Programs.server, ["--config", file])
    #expect(outcome.ending == .code(2))
    let lines = outcome.errors.split(separator: "\n").map(String.init)
    try #require(lines.count == 5, "\(outcome)")
    #expect(lines[0] == "\(file):2:7: the port must be 0 to 65535, not 70000")
    #expect(lines[1] == "\(file):3:12: 'max-frame' must be 4096 to 268435456, not 1")
    #expect(lines[2] == "\(file):4:1: unknown key 'max-fram' (did you mean 'max-frame'?)")
    #expect(lines[3].hasPrefix("\(file):5:12: The value 'loud' is invalid for 'log-level'"))
    #expect(lines[4] == "\(file):6:10: The value 'many' is invalid for 'backlog'")
    let missing = try run(Programs.server, ["--config", folder.file("none.yaml")])
    #expect(missing.ending == .code(2))
    #expect(missing.errors == "\(folder.file("none.yaml")): no such file\n")
  }

  @Test("a wrong variable is named, and one that means nothing is told of and passed over")
  func variables() throws {
    let wrong = try run(
      Programs.server, ["127.0.0.1", "0"], environment: ["RPC_SERVER_MAX_FRAME": "1", "RPC_SERVER_PORT": ""])
    #expect(wrong.ending == .code(2))
    #expect(
      wrong.errors
        == "rpc-server: the variable RPC_SERVER_MAX_FRAME: 'max-frame' must be 4096 to 268435456, not 1\n")
    let strange = try run(
      Programs.server, ["127.0.0.1", "0", "--print-config"], environment: ["RPC_SERVER_MAX_FRAMES": "1"])
    #expect(strange.ending == .code(0))
    #expect(
      strange.errors.contains("RPC_SERVER_MAX_FRAMES means nothing (did you mean 'RPC_SERVER_MAX_FRAME'?)"))
  }

  @Test("a server runs with a file alone, a variable wins over it and a flag over both")
  func serves() throws {
    let folder = TemporaryDirectory()
    try folder.makeDirectory("conf")
    let file = try folder.write(
      "host: 127.0.0.1\nport: 0\nloops: 3\nmax-frame: 4096\ndata: ../data\n", to: "conf/node.yaml")
    let server = try ChildProcess(
      Programs.server, ["--max-frame", "8192"],
      environment: ["RPC_SERVER_CONFIG": file, "RPC_SERVER_LOOPS": "2", "RPC_SERVER_MAX_FRAME": "5000"])
    defer { server.killAtOnce() }
    let line = try server.waitForLine("listening on")
    let port = try #require(line.firstMatch(of: /127\.0\.0\.1:(\d+),/).flatMap { Int($0.1) })
    let stats = try LineClient(port: port).stats()
    #expect(stats["loops"]?.intValue == 2)
    // Its paths start from the file.
    #expect(folder.exists("data/server-key"))
    server.signal(SIGTERM)
    #expect(try server.waitForEnd() == .code(0))
  }

  @Test(
    "SIGHUP takes what a running server can take, tells what waits, and keeps all where the file is wrong")
  func reload() throws {
    let folder = TemporaryDirectory()
    let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl\n"
    try folder.write(key, to: "first")
    let base = "host: 127.0.0.1\nport: 0\ndata: data\nlog-file: log\n"
    let file = try folder.write(base + "deployers: first\nmax-connections: 100\n", to: "node.yaml")
    let server = try ChildProcess(Programs.server, ["--config", file])
    defer { server.killAtOnce() }
    let line = try server.waitForLine("listening on")
    let port = try #require(line.firstMatch(of: /127\.0\.0\.1:(\d+),/).flatMap { Int($0.1) })
    func reload(_ text: String, until mark: String, in log: String = "log") throws -> String {
      try folder.write(text, to: "node.yaml")
      server.signal(SIGHUP)
      return try waitForText(mark, in: folder.file(log))
    }

    // One connection may stay: the next is closed at once.
    let first = try LineClient(port: port)
    #expect(try first.call("system.ping") == .values(["pong"]))
    try folder.write(key + key.replacing("OMqq", with: "OMqr"), to: "second")
    let changed = try reload(
      base + "deployers: second\nmax-connections: 1\nmax-frame: 4096\n",
      until: "the deployers' keys are read again: 2")
    #expect(
      changed.contains("'max-frame' is now 4096 (\(file):7:12), which takes a restart"), "\(changed)")
    #expect(!changed.contains("'max-connections'"))
    #expect(try LineClient(port: port).receiveLine() == nil)
    #expect(try first.call("system.ping") == .values(["pong"]))

    let refused = try reload(base + "max-connection: 5\n", until: "the settings stay as they were")
    #expect(refused.contains("\(file):5:1: unknown key 'max-connection' (did you mean 'max-connections'?)"))
    #expect(try LineClient(port: port).receiveLine() == nil)

    // Another file and level of the log; what was set and is not any more is as it was by default.
    _ = try reload(
      base.replacing("log-file: log", with: "log-file: other") + "log-level: debug\ndeployers: first\n",
      until: "the deployers' keys are read again: 1", in: "other")
    let second = try LineClient(port: port)
    #expect(try second.call("system.ping") == .values(["pong"]))
    _ = try waitForText("system.ping", in: folder.file("other"))
    server.signal(SIGTERM)
    #expect(try server.waitForEnd() == .code(0))
  }

  /// A file's text, once it holds `mark`.
  private func waitForText(_ mark: String, in path: String) throws -> String {
    let tail = try ChildProcess("tail", ["-n", "+1", "-F", path])
    defer { tail.killAtOnce() }
    return try tail.waitFor(.output, "'\(mark)' in \(path)") { $0.contains(mark) ? $0 : nil }
  }
}
