import Foundation
import RPCClient
import TestSupport
import Testing

@Suite("What services are given", .serialized)
struct ProvisionTests {
  private static let python = """
    import glob, os, rpc, subprocess
    early = rpc.secret("db") if os.environ.get("EARLY") else None

    def secret(name):
        return rpc.secret(name)

    def through(name):
        return subprocess.run(["cat", rpc.secret_file(name)], capture_output=True, text=True, check=True).stdout

    def variable(name):
        return os.environ.get(name)

    def inherited(name):
        return subprocess.run(["printenv", name], capture_output=True, text=True).stdout

    def early_secret():
        return early

    def attempt(code):
        try:
            return str(eval(code))
        except BaseException as error:
            return type(error).__name__
    """

  private static let lua = """
    local early = os.getenv("EARLY") and rpc.secret("db")
    function lua_secret(name) return rpc.secret(name) end
    function lua_variable(name) return os.getenv(name) end
    function lua_early() return early end
    """

  private static let names =
    "secret, through, variable, inherited, early_secret, attempt, lua_secret, lua_variable, lua_early"

  private static func describe(_ network: Network, _ declared: String, other: String = "") throws {
    try network.directory.write(python, to: "test.py")
    try network.directory.write(lua, to: "test.lua")
    func procedures(_ service: String) -> String {
      """
        \(service):
          - secret: {args: [str], returns: [str], src: test.py}
          - through: {args: [str], returns: [str], src: test.py}
          - variable: {args: [str], returns: ["Optional[str]"], src: test.py}
          - inherited: {args: [str], returns: [str], src: test.py}
          - early_secret: {args: [], returns: ["Optional[str]"], src: test.py}
          - attempt: {args: [str], returns: [str], src: test.py}
          - lua_secret: {args: [str], returns: [str], src: test.lua}
          - lua_variable: {args: [str], returns: ["Optional[str]"], src: test.lua}
          - lua_early: {args: [], returns: ["Optional[str]"], src: test.lua}
      """
    }
    try network.describe(
      """
      service:
        - shop: {providers: [s1], tenants: [me], rpcs: [\(names)]\(declared)}
        - other: {providers: [s1], tenants: [me], rpcs: [\(names)]\(other)}
      rpc:
      \(procedures("shop"))
      \(procedures("other"))
      """)
  }

  private static func network(secrets: [String: String]) throws -> Network {
    let network = try Network(start: false)
    for (name, text) in secrets {
      chmod(try network.directory.write(text, to: "secrets/\(name)"), 0o600)
    }
    chmod(network.directory.file("secrets"), 0o700)
    try network.start("s1", options: ["--loops", "1", "--secrets", network.directory.file("secrets")])
    return network
  }

  @Test(
    "a service has its own variables in Python, in its programs and in Lua, and strangers do not see their values"
  )
  func variables() throws {
    let network = try Network()
    try Self.describe(
      network, ", env: {WORD: plain, PORT: 5432, TZ: Asia/Tokyo}", other: ", env: [WORD: another]")
    try network.deploy()
    let caller = try network.lines()
    for (service, word) in [("shop", "plain"), ("other", "another")] {
      #expect(try caller.call("\(service).variable", #"["WORD"]"#) == .values([.string(word)]))
      #expect(try caller.call("\(service).inherited", #"["WORD"]"#) == .values([.string(word + "\n")]))
      #expect(try caller.call("\(service).lua_variable", #"["WORD"]"#) == .values([.string(word)]))
    }
    #expect(try caller.call("shop.variable", #"["PORT"]"#) == .values(["5432"]))
    #expect(try caller.call("other.variable", #"["PORT"]"#) == .values([nil]))
    #expect(try caller.call("shop.lua_variable", #"["PATH"]"#) == .values([nil]))
    #expect(try caller.call("shop.attempt", #"["__import__('time').tzname[0]"]"#) == .values(["JST"]))
    // The name is told to everybody, the value to those who may deploy.
    try caller.send(line: LineClient.request("system.catalogue", "[]"))
    let catalogue = try #require(try caller.receiveLine())
    #expect(catalogue.contains("env=WORD=\"") && !catalogue.contains("plain"), "\(catalogue)")
    #expect(try network.deploy().output.contains("up to date"))
  }

  @Test("a secret reaches the services that name it, as text and as a file, and nothing else")
  func secrets() throws {
    let network = try Self.network(secrets: ["db": "hunter2\n", "key": "\u{7}token"])
    try Self.describe(network, ", secrets: [db, key], env: {EARLY: 1}", other: ", secrets: [key]")
    try network.deploy()
    let caller = try network.lines()
    for procedure in ["secret", "lua_secret"] {
      #expect(try caller.call("shop.\(procedure)", #"["db"]"#) == .values(["hunter2"]))
      #expect(try caller.call("other.\(procedure)", #"["key"]"#) == .values(["\u{7}token"]))
      let refused = try caller.call("other.\(procedure)", #"["db"]"#)
      #expect(refused.exceptionMessage?.contains("this service has no secret 'db'") == true, "\(refused)")
    }
    #expect(try caller.call("shop.through", #"["db"]"#) == .values(["hunter2\n"]))
    for _ in 0..<3 {
      // The folder of a call is emptied after it, that of the secrets is not.
      #expect(
        try caller.call("shop.attempt", #"["open(rpc.secret_file('db')).read()"]"#) == .values(["hunter2\n"]))
    }
    #expect(try caller.call("shop.early_secret") == .values(["hunter2"]))
    #expect(try caller.call("shop.lua_early") == .values(["hunter2"]))
    // Neither its own files nor those of the other service can be changed or found.
    let path = try caller.call("shop.attempt", #"["rpc.secret_file('db')"]"#)
    guard case .values(let values) = path, let file = values.listValue?.first?.stringValue else {
      Issue.record("\(path)")
      return
    }
    for code in [
      "open('\(file)', 'a')", "os.remove('\(file)')", "os.rename('\(file)', '\(file)x')",
      "open('\(file)x', 'w')",
    ] {
      let answer = try caller.call("shop.attempt", "[\"\(code)\"]")
      #expect(answer == .values(["PermissionError"]) || answer == .values(["OSError"]), "\(code): \(answer)")
    }
    for code in [
      "open('\(file)').read()", "os.listdir(os.path.dirname('\(file)'))",
      "os.listdir(os.path.dirname(os.path.dirname('\(file)')))",
      "open('\(network.directory.file("secrets/db"))').read()",
      "os.listdir('\(network.directory.file("secrets"))')",
    ] {
      let answer = try caller.call("other.attempt", "[\"\(code)\"]")
      #expect(
        answer == .values(["PermissionError"]) || answer == .values(["FileNotFoundError"]),
        "\(code): \(answer)")
    }
    #expect(
      try caller.call("other.attempt", #"["glob.glob('/dev/shm/*/*/*') + glob.glob('/tmp/*/*/*')"]"#)
        == .values(["[]"]))
    // Nothing that is kept or told has it.
    for name in try FileManager.default.subpathsOfDirectory(atPath: network.directory.file("data")) {
      let path = network.directory.file("data/\(name)")
      let data = FileManager.default.contents(atPath: path) ?? Data()
      #expect(data.range(of: Data("hunter2".utf8)) == nil, "\(name)")
    }
    let seen = try network.shell("source shop.secret", "describe shop.secret", "call s1 system.catalogue")
    #expect(!seen.output.contains("hunter2") && !seen.errors.contains("hunter2"))
    let server = try network.server("s1")
    server.signal(SIGTERM)
    try server.waitForEnd()
    #expect(!server.outputText.contains("hunter2") && !server.errorText.contains("hunter2"))
    #expect(!FileManager.default.fileExists(atPath: file))
  }

  @Test(
    "a secret that is changed counts from the next SIGHUP on, for workers and sources that have the old one too"
  )
  func readAgain() throws {
    let network = try Self.network(secrets: ["db": "first"])
    try Self.describe(network, ", secrets: [db], env: {EARLY: 1}")
    try network.deploy()
    let caller = try network.lines()
    let asked = ["secret(\"db\")", "early_secret()", "lua_secret(\"db\")", "lua_early()"]
    func answers() throws -> [LineClient.Answer] {
      try asked.map { call in
        let name = call.prefix { $0 != "(" }
        return try caller.call("shop.\(name)", "[\(call.dropFirst(name.count + 1).dropLast())]")
      }
    }
    #expect(try answers() == Array(repeating: .values(["first"]), count: 4))
    chmod(try network.directory.write("second", to: "secrets/db"), 0o600)
    #expect(try answers() == Array(repeating: .values(["first"]), count: 4))
    let server = try network.server("s1")
    server.signal(SIGHUP)
    try server.waitFor(.errors, "that it has read twice") {
      $0.split(separator: "secrets read: 1").count > 2 ? true : nil
    }
    #expect(try answers() == Array(repeating: .values(["second"]), count: 4))
    // A folder that cannot be used any more changes nothing.
    chmod(network.directory.file("secrets"), 0o755)
    server.signal(SIGHUP)
    try server.waitForLine("the secrets stay as they were", on: .errors)
    #expect(try answers() == Array(repeating: .values(["second"]), count: 4))
    // One that is gone is refused, by calls as by deployments.
    chmod(network.directory.file("secrets"), 0o700)
    unlink(network.directory.file("secrets/db"))
    server.signal(SIGHUP)
    try server.waitForLine("secrets read: 0", on: .errors)
    let refused = try caller.call("shop.secret", #"["db"]"#)
    #expect(refused.exceptionMessage?.contains("has no file 'db'") == true, "\(refused)")
  }

  @Test("a server without the flag, the folder or the file refuses at prepare, and says what is missing")
  func missing() throws {
    let network = try Network()
    try Self.describe(network, ", secrets: [db]")
    let without = try network.initialize()
    #expect(without.ending == .code(1))
    #expect(without.output.contains("start it with --secrets DIR"), "\(without)")
    let open = try Self.network(secrets: ["other": "x"])
    chmod(try open.directory.write("x", to: "secrets/db"), 0o644)
    try Self.describe(open, ", secrets: [db]")
    let absent = try open.initialize()
    #expect(absent.ending == .code(1))
    #expect(absent.output.contains("has no file 'db'"), "\(absent)")
    try open.server("s1").signal(SIGHUP)
    try open.server("s1").waitForLine("a secret is not used", on: .errors)
    let wrong = try open.initialize()
    #expect(wrong.output.contains("chmod 600 '\(open.directory.file("secrets/db"))'"), "\(wrong)")
    let folder = open.directory.file("secrets")
    chmod(folder, 0o755)
    let port = try FreePort.take()
    let refused = try run(
      Programs.server,
      ["127.0.0.1", "\(port)", "--data", open.directory.file("data/s9"), "--secrets", folder])
    #expect(refused.ending == .code(3))
    #expect(refused.errors.contains("chmod 700 '\(folder)'"), "\(refused)")
  }
}
