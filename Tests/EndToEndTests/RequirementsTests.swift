import Foundation
import RPCClient
import TestSupport
import Testing

/// What these tests need of the machine.
private enum Pip {
  static let isThere = (try? run("python3", ["-I", "-m", "pip", "--version"]))?.ending == .code(0)
}

@Suite("What services require of packages and of Python", .serialized, .enabled(if: Pip.isThere))
struct RequirementsTests {
  private static let python = """
    import os, subprocess, sys

    def word():
        import tiny
        return tiny.word

    def where():
        import tiny
        return tiny.__file__

    def outside():
        commands = [sys.executable, "-c", "import tiny; print(tiny.word)"], ["python3", "-m", "tiny"], ["say-tiny"]
        return [subprocess.run(command, capture_output=True, text=True).stdout.strip() for command in commands]

    def results():
        import hostile
        return hostile.results

    def attempt(code):
        try:
            exec(code, {"os": os})
        except BaseException as error:
            return type(error).__name__
        return "escaped"

    def version():
        return "%d.%d" % sys.version_info[:2]
    """

  private static let names = "word, where, outside, results, attempt, version"

  private static func make(
    _ network: Network, _ name: String, _ version: String, word: String = "", needs: String = "",
    hostile: [String] = []
  ) throws {
    let folder = network.directory
    try folder.makeDirectory("wheels")
    // Another user of the same machine installs them.
    chmod(folder.path, 0o755)
    let made = try run(
      "python3",
      [
        "\(Programs.repository)/Tests/Interop/make_wheel.py", folder.file("wheels"), name, version,
        "word = '\(word)'\ndef say():\n    print(word)\nif __name__ == '__main__':\n    say()\n",
        needs.replacingOccurrences(of: "WHEELS", with: folder.file("wheels")),
      ] + hostile)
    guard made.ending == .code(0) else { throw Failure("\(made)") }
  }

  private static func describe(
    _ network: Network, _ requirements: String?, _ declared: String = "", other: String = "",
    note: String = ""
  ) throws {
    let wheels = network.directory.file("wheels")
    var given = declared
    if let requirements {
      try network.directory.write(
        requirements.replacingOccurrences(of: "WHEELS", with: wheels), to: "requirements.txt")
      given += ", requirements: requirements.txt, read: [\(wheels)]"
    }
    try network.directory.write(python + note, to: "test.py")
    func procedures(_ service: String) -> String {
      """
        \(service):
          - word: {args: [], returns: [str], src: test.py}
          - where: {args: [], returns: [str], src: test.py}
          - outside: {args: [], returns: ["List[str]"], src: test.py}
          - results: {args: [], returns: ["List[str]"], src: test.py}
          - attempt: {args: [str], returns: [str], src: test.py}
          - version: {args: [], returns: [str], src: test.py}
      """
    }
    try network.describe(
      """
      service:
        - shop: {providers: [s1], tenants: [me], rpcs: [\(names)]\(given)}
        - other: {providers: [s1], tenants: [me], rpcs: [\(names)]\(other)}
      rpc:
      \(procedures("shop"))
      \(procedures("other"))
      """)
  }

  private static func network(_ options: [String] = []) throws -> Network {
    let network = try Network(start: false)
    try network.start(
      "s1", options: ["--loops", "1", "--allow-path", network.directory.file("wheels")] + options)
    return network
  }

  private static let one = "--no-index\n--find-links WHEELS\ntiny==1.0\n"

  private static func environments(_ network: Network) -> [String] {
    ((try? FileManager.default.contentsOfDirectory(atPath: network.directory.file("data/s1/environments")))
      ?? [])
      .sorted()
  }

  @Test(
    "packages are installed once for a file, for the service that names it, and its procedures cannot change them"
  )
  func packages() throws {
    let network = try Self.network()
    try Self.make(network, "tiny", "1.0", word: "one")
    try Self.make(network, "tiny", "2.0", word: "two")
    try Self.describe(network, Self.one)
    let first = try network.initialize()
    #expect(first.ending == .code(0), "\(first)")
    let caller = try network.lines()
    #expect(try caller.call("shop.word") == .values(["one"]))
    // The programs that it starts have them too, and those of the packages are there.
    #expect(try caller.call("shop.outside") == .values([.list(["one", "one", "one"])]))
    // It has none of the server's own.
    #expect(try caller.call("shop.attempt", #"["import pip"]"#) == .values(["ModuleNotFoundError"]))
    #expect(try caller.call("other.attempt", #"["import pip"]"#) == .values(["escaped"]))
    let elsewhere = try caller.call("other.word")
    #expect(elsewhere.exceptionMessage?.contains("No module named 'tiny'") == true, "\(elsewhere)")
    guard case .values(let values) = try caller.call("shop.where"),
      let file = values.listValue?.first?.stringValue
    else { throw Failure("no file") }
    let folder = file.split(separator: "/", omittingEmptySubsequences: false).dropLast().joined(
      separator: "/")
    for code in [
      "open('\(file)', 'a')", "os.remove('\(file)')", "open('\(folder)/new.py', 'w')",
      "os.mkdir('\(folder)/new')",
      "os.rename('\(folder)', '\(folder)-moved')", "os.listdir('\(folder)/../../../..')",
    ] {
      let answer = try caller.call("shop.attempt", "[\"\(code)\"]")
      #expect(answer == .values(["PermissionError"]) || answer == .values(["OSError"]), "\(code): \(answer)")
    }
    for code in ["open('\(file)')", "os.listdir('\(folder)')"] {
      #expect(try caller.call("other.attempt", "[\"\(code)\"]") == .values(["PermissionError"]), "\(code)")
    }
    #expect(Self.environments(network).count == 1)
    // The same file again is there already, and a changed one is another.
    try Self.describe(network, Self.one, note: "\n# changed")
    let second = try network.initialize()
    #expect(second.ending == .code(0) && !second.errors.contains("installing"), "\(second)")
    try Self.describe(network, Self.one.replacingOccurrences(of: "1.0", with: "2.0"))
    try network.deploy()
    #expect(try caller.call("shop.word") == .values(["two"]))
    #expect(Self.environments(network).count == 2)
    // A server that is started again has them.
    try network.server("s1").signal(SIGTERM)
    try network.server("s1").waitForEnd()
    try network.start("s1", options: ["--allow-path", network.directory.file("wheels")])
    let again = try network.lines()
    #expect(try again.call("shop.word") == .values(["two"]))
    // They go with the generations that named them.
    for number in 0..<8 {
      try Self.describe(network, nil, note: "\n# \(number)")
      try network.deploy()
    }
    #expect(Self.environments(network) == [])
  }

  @Test("what cannot be installed is refused when it is prepared, in pip's words, and nothing changes")
  func refused() throws {
    let network = try Self.network()
    try Self.make(network, "tiny", "1.0", word: "one")
    try Self.make(network, "hostile", "1.0", hostile: ["1"])
    // What a wheel asks for by itself is built where it is not a wheel, whatever is said about wheels.
    try Self.make(network, "sly", "1.0", needs: "hostile @ file://WHEELS/hostile-1.0.tar.gz")
    for (text, reason) in [
      ("--no-index\n--find-links WHEELS\ntiny==9\n", "No matching distribution found for tiny==9"),
      ("--index-url http://127.0.0.1:1/simple\ntiny\n", "Connection refused"),
      ("--no-index\n--find-links WHEELS\nsly\n", "a package is not a wheel, and building one runs its code"),
      ("--pre --no-binary :all:\ntiny\n", "is not allowed here: start the server with"),
      ("--only-binary :none:\ntiny\n", "is not allowed here: start the server with"),
      ("# first\n-r base.txt\n", "line 2: '-r base.txt' names another file"),
      (
        "--no-index\n--find-links WHEELS\nhostile\n",
        "No matching distribution found for hostile (wheels alone are taken: to build packages, start"
      ),
      (
        "--no-binary :all:\ntiny\n",
        "line 1: '--no-binary :all:' is not allowed here: start the server with --allow-source-builds"
      ),
      ("hostile @ file://WHEELS/hostile-1.0.tar.gz\n", "is not a wheel, and building one runs its code"),
      ("WHEELS\n", "is not a wheel"),
      ("--no-index\n--find-links /etc/ssl/private\ntiny\n", "requirements.txt: "),
    ] {
      try Self.describe(network, text)
      let outcome = try network.initialize()
      #expect(outcome.ending == .code(1) && outcome.output.contains(reason), "\(text): \(outcome)")
      #expect(outcome.output.contains("requirements of 'shop' cannot be installed"), "\(outcome)")
    }
    #expect(Self.environments(network) == [])
    #expect(try network.lines().call("shop.word").exceptionType == "ServiceNotFound")
    // One that takes too long.
    let silent = try SocketGate()
    let short = try Self.network(["--install-timeout", "1000"])
    try Self.make(short, "tiny", "1.0", word: "one")
    try Self.describe(short, "--index-url http://127.0.0.1:\(silent.port)/simple\ntiny\n")
    #expect(try short.initialize().output.contains("installing took more than 1 s, the limit"))
    let unread = try Self.network()
    try Self.make(unread, "tiny", "1.0", word: "one")
    try Self.describe(unread, nil, ", requirements: requirements.txt")
    try unread.directory.write(
      Self.one.replacingOccurrences(of: "WHEELS", with: unread.directory.file("wheels")),
      to: "requirements.txt")
    #expect(try unread.initialize().output.contains("have to be named in 'read' of the service"))
    try unread.directory.write(String(repeating: "#", count: 256 * 1024 + 1), to: "long.txt")
    for (line, reason) in [
      ("requirements: absent.txt", "cannot read 'requirements' 'absent.txt' of service 'shop': no such file"),
      ("requirements: long.txt", "cannot read 'requirements' 'long.txt' of service 'shop': "),
      ("python: newest", "'python' of service 'shop' must be a version such as"),
      ("python: /usr/bin/python3", "'python' of service 'shop' must be a version such as"),
    ] {
      try Self.describe(unread, nil, ", \(line)")
      let outcome = try unread.initialize()
      #expect(outcome.ending == .code(2) && outcome.errors.contains(reason), "\(outcome)")
    }
  }

  @Test("an installation that nobody waits for any more ends with all of its processes, and holds no lock")
  func interrupted() throws {
    let network = try Self.network()
    try Self.make(network, "tiny", "1.0", word: "one")
    let silent = try SocketGate()
    try Self.describe(network, "--index-url http://127.0.0.1:\(silent.port)/simple\ntiny\n")
    let deployer = try ChildProcess(Programs.initializer, [network.file])
    defer { deployer.signalGroup(SIGKILL) }
    // Which line of the installation is told first depends on when the server is asked.
    try deployer.waitForLine("s1: requirements of shop: ", on: .errors)
    let visitor = try silent.admit()
    let other = try network.initialize()
    #expect(other.ending == .code(1) && other.output.contains("is deploying"), "\(other)")
    deployer.signal(SIGINT)
    #expect(try deployer.waitForEnd() == .code(130))
    try visitor.waitUntilGone()
    // A server that is killed meanwhile leaves what the next one removes.
    let again = try ChildProcess(Programs.initializer, [network.file])
    defer { again.signalGroup(SIGKILL) }
    let witness = try silent.admit()
    let server = try network.server("s1")
    server.signal(SIGKILL)
    try server.waitForEnd()
    try witness.waitUntilGone()
    #expect(try again.waitForEnd() == .code(1))
    try network.start("s1", options: ["--loops", "1", "--allow-path", network.directory.file("wheels")])
    try Self.describe(network, Self.one)
    #expect(try network.initialize().ending == .code(0))
    #expect(Self.environments(network).count == 1)
  }

  @Test("what is built runs code of packages, where a server allows that, and that gets out of nothing")
  func builds() throws {
    let network = try Self.network(["--allow-source-builds"])
    let folder = network.directory
    chmod(try folder.write("hidden", to: "secrets/db"), 0o600)
    let server = try network.server("s1")
    let attempts = [
      "open('\(folder.file("data/s1/server-key"))').read()", "os.listdir('\(folder.file("data/s1"))')",
      "open('\(folder.file("secrets/db"))').read()", "open('/etc/shadow').read()",
      "open('\(folder.file("wheels"))/x', 'w')", "open('/var/tmp/rpc-escape', 'w')",
      "open('/proc/\(server.pid)/environ', 'rb').read()", "os.kill(\(server.pid), 0)",
      "os.listdir('\(ConfigHome.path)')",
    ]
    try Self.make(network, "hostile", "1.0", hostile: attempts + ["socket.socket()"])
    try Self.describe(network, "--no-index\n--find-links WHEELS\nhostile\n")
    let outcome = try network.initialize()
    #expect(outcome.ending == .code(0), "\(outcome)")
    guard case .values(let values) = try network.lines().call("shop.results"),
      let results = values.listValue?.first?.listValue?.compactMap(\.stringValue)
    else { throw Failure("no results") }
    #expect(results.count == attempts.count + 1)
    for (code, result) in zip(attempts, results) {
      #expect(result != "escaped" && result != "SyntaxError" && result != "NameError", "\(code): \(result)")
    }
    // The network it has.
    #expect(results.last == "escaped")
  }

  @Test("'python' chooses by version among what the server finds, and a version that is missing is refused")
  func versions() throws {
    let own = try run("python3", ["-c", "import sys; print('%d.%d' % sys.version_info[:2])"]).output
      .trimmingCharacters(in: .whitespacesAndNewlines)
    let program = try run("python3", ["-c", "import sys; print(sys.executable)"]).output
      .trimmingCharacters(in: .whitespacesAndNewlines)
    let network = try Network(start: false)
    // One that is what its name says, one that is not, and one that does not run.
    let bin = network.directory.file("bin")
    try network.directory.makeDirectory("bin")
    symlink(program, "\(bin)/python\(own)")
    chmod(try network.directory.write("#!/bin/sh\nexec '\(program)' \"$@\"\n", to: "bin/python3.98"), 0o755)
    chmod(try network.directory.write("#!/bin/sh\nexit 1\n", to: "bin/python3.97"), 0o755)
    let path = "\(bin):/usr/bin:/bin"
    let server = try ChildProcess(
      Programs.server, ["127.0.0.1", "\(network.port("s1"))", "--data", network.directory.file("data/s1")],
      environment: ["PATH": path])
    defer { server.signalGroup(SIGKILL) }
    try server.waitForLine("listening on")
    try Self.describe(network, nil, ", python: \"\(own)\"")
    #expect(try network.initialize().ending == .code(0))
    let caller = try network.lines()
    #expect(try caller.call("shop.version") == .values([.string(own)]))
    for version in ["3.97", "3.98", "3.99"] {
      try Self.describe(network, nil, ", python: \"\(version)\"")
      let outcome = try network.initialize()
      #expect(outcome.ending == .code(1), "\(outcome)")
      #expect(
        outcome.output.contains("the service 'shop' asks for Python \(version), and this server finds ")
          && outcome.output.contains(own), "\(outcome)")
    }
    #expect(try caller.call("shop.version") == .values([.string(own)]))
    try Self.describe(network, nil, other: ", python: \"\(own)\"")
    #expect(try network.initialize().ending == .code(0))
    #expect(try caller.call("other.version") == .values([.string(own)]))
    server.signal(SIGTERM)
    try server.waitForEnd()
  }

  @Test("a server of root installs and runs as users of their own", .enabled(if: geteuid() == 0))
  func ownUser() throws {
    guard try run("/usr/bin/python3", ["-I", "-m", "pip", "--version"]).ending == .code(0) else { return }
    let network = try Network(start: false)
    try Self.make(network, "tiny", "1.0", word: "one")
    let server = try ChildProcess(
      Programs.server,
      [
        "127.0.0.1", "\(network.port("s1"))", "--data", network.directory.file("data/s1"), "--allow-path",
        network.directory.file("wheels"),
      ], environment: ["PATH": "/usr/bin:/bin", "TMPDIR": "/tmp"])
    defer { server.signalGroup(SIGKILL) }
    try server.waitForLine("listening on")
    try Self.describe(network, Self.one)
    let outcome = try network.initialize()
    #expect(outcome.ending == .code(0), "\(outcome)")
    let caller = try network.lines()
    #expect(try caller.call("shop.word") == .values(["one"]))
    #expect(try caller.call("shop.outside") == .values([.list(["one", "one", "one"])]))
    #expect(try caller.call("shop.attempt", #"["assert os.geteuid() > 0"]"#) == .values(["escaped"]))
    server.signal(SIGTERM)
    try server.waitForEnd()
  }

  @Test("initializer try installs what is required, and keeps it")
  func trial() throws {
    let network = try Network(start: false)
    try Self.make(network, "tiny", "1.0", word: "one")
    try Self.describe(network, Self.one)
    let words = [
      "try", "--file", network.file, "--allow-path", network.directory.file("wheels"), "shop.word",
    ]
    let cache: [String: String?] = ["XDG_CACHE_HOME": network.directory.file("cache")]
    let first = try run(Programs.initializer, words, environment: cache)
    #expect(first.output == "one\n" && first.errors.contains("requirements of shop: "), "\(first)")
    let second = try run(Programs.initializer, words, environment: cache)
    #expect(second.output == "one\n" && !second.errors.contains("requirements of shop: "), "\(second)")
  }
}
