import RPCDeployment
import RPCSettings
import Testing

@Suite("Settings from a file, the environment and flags")
struct SettingsTests {
  static let table = SettingTable(
    program: "rpc-server",
    keys: [
      SettingKey(name: "host", kind: .value, position: 0),
      SettingKey(name: "port", kind: .value, position: 1),
      SettingKey(name: "max-frame", kind: .value, fallback: "65536", section: "Limits"),
      SettingKey(name: "allow-path", kind: .list, section: "Limits"),
      SettingKey(name: "allow-get", kind: .flag), SettingKey(name: "deployers", kind: .value, isPath: true),
      SettingKey(name: "log-level", kind: .value, fallback: "info"),
    ])

  static func settings(
    _ text: String? = nil, path: String = "node.yaml", _ environment: [String: String] = [:],
    _ words: [String] = []
  ) throws(SettingErrors) -> Settings {
    try Settings(
      table: table, file: text.map { SettingFile(path, table: table, text: $0) }, environment: environment,
      commandLine: CommandLineSettings(words, table: table))
  }

  @Test("the file says, the environment says otherwise, and a flag has the last word")
  func layers() throws {
    let text = "host: 10.0.0.1\nport: 8181\nmax-frame: 4096\nallow-path: [/a, /b]\nlog-level: debug\n"
    let environment = ["RPC_SERVER_PORT": "8282", "RPC_SERVER_MAX_FRAME": "8192", "HOME": "/root"]
    let settings = try Self.settings(text, environment, ["--max-frame", "9000", "--log-level=error"])
    #expect(settings["host"]?.values == ["10.0.0.1"])
    #expect(settings["host"]?.origin.description == "node.yaml:1:7")
    #expect(settings["port"]?.values == ["8282"])
    #expect(settings["port"]?.origin == .variable("RPC_SERVER_PORT"))
    #expect(settings["max-frame"]?.values == ["9000"])
    #expect(settings["max-frame"]?.origin == .commandLine)
    #expect(settings["allow-path"]?.values == ["/a", "/b"])
    #expect(settings["log-level"]?.values == ["error"])
    #expect(settings["allow-get"] == nil)
    #expect(
      settings.arguments == [
        "--max-frame=9000", "--allow-path=/a", "--allow-path=/b", "--log-level=error", "--", "10.0.0.1",
        "8282",
      ])
  }

  @Test("a list is replaced by a later one, never joined with it")
  func lists() throws {
    let text = "allow-path: [/a, /b]\n"
    #expect(
      try Self.settings(text, ["RPC_SERVER_ALLOW_PATH": "/c, /d"])["allow-path"]?.values == ["/c", "/d"])
    let flags = ["--allow-path", "/e", "--allow-path=/f"]
    #expect(
      try Self.settings(text, ["RPC_SERVER_ALLOW_PATH": "/c"], flags)["allow-path"]?.values == ["/e", "/f"])
    #expect(try Self.settings("allow-path: /single\n")["allow-path"]?.values == ["/single"])
    #expect(try Self.settings("allow-path: []\n")["allow-path"]?.values == [])
  }

  @Test("a flag is true or false, in a file and as a variable", arguments: ["true", "1", "yes", "TRUE"])
  func flags(_ truth: String) throws {
    #expect(
      try Self.settings(nil, ["RPC_SERVER_ALLOW_GET": truth])["allow-get"]?.arguments == ["--allow-get"])
    #expect(
      try Self.settings("allow-get: true\n", ["RPC_SERVER_ALLOW_GET": "0"])["allow-get"]?.arguments == [])
    #expect(
      throws: SettingErrors(["rpc-server: the variable RPC_SERVER_ALLOW_GET must be true or false, not 'x'"])
    ) {
      _ = try Self.settings(nil, ["RPC_SERVER_ALLOW_GET": "x"])
    }
  }

  @Test("an empty variable is none, and one that means nothing is told of with what was meant")
  func variables() throws {
    #expect(try Self.settings("port: 1\n", ["RPC_SERVER_PORT": ""])["port"]?.values == ["1"])
    let settings = try Self.settings(
      nil, ["RPC_SERVER_MAX_FRAMES": "1", "RPC_SERVER_CONFIG": "x", "RPC_SERVERS": "1"])
    #expect(
      settings.strangers == [
        "the variable RPC_SERVER_MAX_FRAMES means nothing (did you mean 'RPC_SERVER_MAX_FRAME'?)"
      ])
  }

  @Test("paths start from the file that names them")
  func paths() throws {
    func deployers(_ value: String, in file: String) throws -> [String]? {
      try Self.settings("deployers: \(value)\n", path: file)["deployers"]?.values
    }
    #expect(try deployers("keys", in: "/etc/simplerpc/node.yaml") == ["/etc/simplerpc/keys"])
    #expect(try deployers("keys", in: "conf/node.yaml") == ["conf/keys"])
    #expect(try deployers("keys", in: "node.yaml") == ["keys"])
    #expect(try deployers("/var/keys", in: "/etc/simplerpc/node.yaml") == ["/var/keys"])
    #expect(try Self.settings(nil, ["RPC_SERVER_DEPLOYERS": "keys"])["deployers"]?.values == ["keys"])
  }

  /// Each text with all that is wrong with it.
  static let wrong: [(text: String, errors: [String])] = [
    ("max-frames: 1\n", ["node.yaml:1:1: unknown key 'max-frames' (did you mean 'max-frame'?)"]),
    ("# a\nmax_frame: 1\n", ["node.yaml:2:1: unknown key 'max_frame' (did you mean 'max-frame'?)"]),
    (
      "port: 1\nhost: a\nport: 2\n", ["node.yaml:3:1: 'port' is set twice; the first is at line 1"]
    ),
    ("port: [1]\n", ["node.yaml:1:7: 'port' must be a single value, found a list"]),
    ("port:\n", ["node.yaml:1:6: 'port' is empty: write a value, or leave the key out"]),
    ("log: {level: debug}\n", ["node.yaml:1:1: unknown key 'log' (did you mean 'log-level'?)"]),
    ("allow-get: yes\n", ["node.yaml:1:12: 'allow-get' must be true or false, found 'yes'"]),
    ("allow-get: \"true\"\n", ["node.yaml:1:12: 'allow-get' must be true or false, found 'true'"]),
    ("allow-path: [/a, {}]\n", ["node.yaml:1:18: 'allow-path' must hold single values, found a map"]),
    (
      "allow-path: {a: b}\n",
      ["node.yaml:1:13: 'allow-path' must be a value or a list of values, found a map"]
    ),
    ("- port: 1\n", ["node.yaml:1:1: the file must be a map such as 'port: 8181', found a list"]),
    ("config: other.yaml\n", ["node.yaml:1:1: unknown key 'config'"]),
    (
      "a: 1\nmax-frame: &x {}\n",
      ["node.yaml:1:1: unknown key 'a'", "node.yaml:2:12: 'max-frame' must be a single value, found a map"]
    ),
    ("port: 1\n\thost: a\n", ["node.yaml:2:1: not valid YAML"]),
  ]

  @Test("what is wrong with a file is told with its place, all at once", arguments: wrong.indices)
  func errors(_ index: Int) throws {
    let (text, wanted) = Self.wrong[index]
    let errors = try #require(throws: SettingErrors.self) { _ = try Self.settings(text) }
    #expect(errors.lines.count == wanted.count, "\(errors)")
    for (line, start) in zip(errors.lines, wanted) { #expect(line.hasPrefix(start), "\(errors)") }
  }

  @Test("a file of comments alone sets nothing", arguments: ["", "# port: 1\n", "---\n"])
  func emptyFile(_ text: String) throws {
    #expect(try Self.settings(text).settings == [])
  }

  @Test("what is printed is a file that says the same, with where each value is from")
  func printing() throws {
    let settings = try Self.settings(
      "allow-path: [/a b, \"c: d\"]\nallow-get: true\n", ["RPC_SERVER_HOST": "::1"], ["--max-frame", "1"])
    let text = settings.text(title: "all", computed: ["deployers": "yes"])
    #expect(
      text.split(separator: "\n").contains {
        $0.hasPrefix("max-frame: 1 ") && $0.hasSuffix("# the command line")
      })
    #expect(text.contains("# Limits\n"))
    #expect(text.contains("host: \"::1\""))
    #expect(text.contains("# RPC_SERVER_HOST\n"))
    #expect(text.contains("# port:"))
    #expect(text.contains("log-level: info"))
    #expect(text.contains("deployers: \"yes\""))
    let again = try Self.settings(text)
    for setting in settings.settings { #expect(again[setting.key.name]?.values == setting.values) }
  }

  @Test("only what became another value is a change")
  func changes() throws {
    let before = try Self.settings("port: 1\nmax-frame: 2\nallow-get: true\n")
    let after = try Self.settings("# moved\nmax-frame: 3\nallow-get: true\n", [:], ["--port=1"])
    #expect(after.changes(since: before).map(\.key.name) == ["port", "max-frame"])
    let same = try Self.settings("\n\nallow-get: true\nmax-frame: 2\nport: 1\n")
    #expect(same.changes(since: before).isEmpty)
  }

  @Test("the words after -- are arguments, and the value of an option is none")
  func words() throws {
    let line = CommandLineSettings(
      ["--max-frame", "1", "::1", "--config", "x", "--allow-get", "--", "8181"], table: Self.table)
    #expect(line.settings.map(\.key.name) == ["host", "port", "max-frame", "allow-get"])
    #expect(line.settings.map(\.values) == [["::1"], ["8181"], ["1"], ["true"]])
  }
}
