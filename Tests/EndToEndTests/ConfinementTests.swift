import Foundation
import RPCClient
import TestSupport
import Testing

@Suite("What services declare about their processes")
struct ConfinementTests {
  private static let python = """
    import os
    \(SocketGate.python)
    word = "fresh"

    \(AttemptedCode.python)

    def hold(port):
        pass_gate(port)
        return 1

    def set(text):
        global word
        word = text
        os.getcwd = lambda: text

    def get():
        return word + " " + os.getcwd()

    def read(path):
        with open(path) as file:
            return file.read()

    def write(path):
        with open(path, "w") as file:
            file.write("written")
    """

  private static func deploy(
    _ network: Network, _ declared: String, other: String = ""
  ) throws -> Outcome {
    try network.directory.write(python, to: "test.py")
    try network.directory.write(
      "word = 'fresh'\nfunction put(text) word = text end\nfunction take() return word end\n", to: "test.lua")
    func procedures(_ service: String) -> String {
      """
        \(service):
          - hold: {args: [int], returns: [int], src: test.py}
          - attempt: {args: [str], returns: [str], src: test.py}
          - set: {args: [str], returns: [], src: test.py}
          - get: {args: [], returns: [str], src: test.py}
          - read: {args: [str], returns: [str], src: test.py}
          - write: {args: [str], returns: [], src: test.py}
          - put: {args: [str], returns: [], src: test.lua}
          - take: {args: [], returns: [str], src: test.lua}
      """
    }
    try network.describe(
      """
      service:
        - test: {providers: [s1], tenants: [me], rpcs: [hold, attempt, set, get, read, write, put, take]\(declared)}
        - other: {providers: [s1], tenants: [me], rpcs: [hold, attempt, set, get, read, write, put, take]\(other)}
      rpc:
      \(procedures("test"))
      \(procedures("other"))
      """)
    return try network.initialize()
  }

  @Test("two services of one file share neither globals nor interpreters, in Python and in Lua")
  func apart() throws {
    let network = try Network(options: ["--loops", "1"])
    #expect(try Self.deploy(network, "").ending == .code(0))
    let caller = try network.lines()
    for _ in 0..<20 {
      #expect(try caller.call("test.set", #"["stolen"]"#) == .values([]))
      #expect(try caller.call("test.get") == .values(["stolen stolen"]))
      #expect(try caller.call("other.get") == .values(["fresh /"]))
      #expect(try caller.call("test.put", #"["stolen"]"#) == .values([]))
      #expect(try caller.call("test.take") == .values(["stolen"]))
      #expect(try caller.call("other.take") == .values(["fresh"]))
    }
  }

  @Test("calls that sleep keep no other service waiting, and 'workers' bounds a service")
  func fair() throws {
    let network = try Network(options: ["--loops", "1", "--python-workers", "2"])
    #expect(
      try Self.deploy(network, ", network: true", other: ", workers: 1, network: true").ending == .code(0))
    let gate = try SocketGate()
    let sleepers = try (0..<8).map { _ in try network.lines() }
    for sleeper in sleepers { try sleeper.send(line: LineClient.request("test.hold", "[\(gate.port)]")) }
    var visitors = try (0..<2).map { _ in try gate.admit() }
    // As many sleep as there are workers, and more wait.
    let caller = try network.lines()
    for _ in 0..<5 { #expect(try caller.call("other.get") == .values(["fresh /"])) }
    // One of its own may run, however many workers there are: the second waits for the first.
    let held = try (0..<2).map { _ in try network.lines() }
    let ownGate = try SocketGate()
    for one in held { try one.send(line: LineClient.request("other.hold", "[\(ownGate.port)]")) }
    let first = try ownGate.admit()
    first.letGo()
    let second = try ownGate.admit()
    second.letGo()
    for one in held { #expect(try one.receiveAnswer() == .values([1])) }
    for _ in 0..<6 {
      visitors.removeFirst().letGo()
      visitors.append(try gate.admit())
    }
    for visitor in visitors { visitor.letGo() }
    for sleeper in sleepers { #expect(try sleeper.receiveAnswer() == .values([1])) }
  }

  @Test("sockets are for services that say so")
  func network() throws {
    let network = try Network()
    #expect(try Self.deploy(network, "", other: ", network: true").ending == .code(0))
    let gate = try SocketGate()
    let refused = try network.lines().call("test.hold", "[\(gate.port)]")
    #expect(refused.exceptionMessage?.contains("PermissionError") == true, "\(refused)")
    let caller = try network.lines()
    try caller.send(line: LineClient.request("other.hold", "[\(gate.port)]"))
    try gate.admit().letGo()
    #expect(try caller.receiveAnswer() == .values([1]))
  }

  @Test("of a list of ports each may be connected to by TCP, and nothing else")
  func ports() throws {
    let network = try Network()
    let (open, closed) = (try SocketGate(), try SocketGate())
    let declared = ", network: [\(open.port)]"
    let deployed = try Self.deploy(network, declared, other: declared)
    // Landlock knows ports since its version 4.
    let tier = try network.shell("call s1 system.stats").output
    let version = tier.firstMatch(of: #/Landlock (\d+)/#).flatMap { Int($0.output.1) } ?? 0
    guard version >= 4 else {
      #expect(deployed.ending == .code(1))
      #expect(deployed.output.contains("Landlock knows no ports"), "\(deployed)")
      return
    }
    #expect(deployed.ending == .code(0), "\(deployed)")
    let caller = try network.lines()
    try caller.send(line: LineClient.request("test.hold", "[\(open.port)]"))
    try open.admit().letGo()
    #expect(try caller.receiveAnswer() == .values([1]))
    let refused = try caller.call("test.hold", "[\(closed.port)]")
    #expect(refused.exceptionMessage?.contains("PermissionError") == true, "\(refused)")
    for code in [
      "socket.socket(socket.AF_INET, socket.SOCK_DGRAM)", "socket.socket(socket.AF_UNIX)",
      "socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)", "socket.socket(2, 1, 132)",
      "socket.socket(2, 1, 262)",
      "socket.socket().bind(('127.0.0.1', 0))", "socket.socket().listen()",
      "socket.socket().sendto(b'x', 0x20000000, ('127.0.0.1', \(closed.port)))",
      "socket.socket(socket.AF_INET6).connect(('::1', \(closed.port)))",
      "socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)",
    ] {
      let answer = try caller.call("test.attempt", "[\"\(code)\"]")
      #expect(answer == .values(["PermissionError"]), "\(code): \(answer)")
    }
    for (list, says) in [
      ("[]", "must be true, false or a list of 1 to 64 ports"), ("[80, 80]", "each once"),
      ("[0]", "from 1 to 65535"),
      ("[http]", "must be a number from 1 to 65535"),
    ] {
      let wrong = try Self.deploy(network, ", network: \(list)")
      #expect(wrong.ending == .code(2) && wrong.errors.contains(says), "\(list): \(wrong)")
    }
  }

  @Test("further paths are what both the service and the server name, and no more")
  func paths() throws {
    let network = try Network(start: false)
    let folder = network.directory
    chmod(folder.path, 0o755)
    for name in ["readable/a", "writable/b", "secret/c"] {
      try folder.write(name, to: name)
      chmod(folder.file(name), 0o666)
    }
    chmod(folder.file("writable"), 0o777)
    try network.start(
      "s1", options: ["--allow-path", folder.file("readable"), "--allow-path", folder.file("writable")])
    let refused = try Self.deploy(network, ", read: [\(folder.file("secret"))]")
    #expect(refused.ending == .code(1))
    #expect(refused.output.contains("--allow-path '\(folder.file("secret"))'"), "\(refused)")
    #expect(
      try Self.deploy(network, ", read: [\(folder.file("readable"))], write: [\(folder.file("writable"))]")
        .ending == .code(0))
    let caller = try network.lines()
    func read(_ name: String) throws -> LineClient.Answer {
      try caller.call("test.read", "[\"\(folder.file(name))\"]")
    }
    func write(_ name: String) throws -> LineClient.Answer {
      try caller.call("test.write", "[\"\(folder.file(name))\"]")
    }
    #expect(try read("readable/a") == .values(["readable/a"]))
    #expect(try read("secret/c").exceptionType == "ExecutionException")
    #expect(try write("readable/a").exceptionType == "ExecutionException")
    #expect(try write("writable/b") == .values([]))
    #expect(try folder.read("writable/b") == "written")
    let other = try caller.call("other.read", "[\"\(folder.file("readable/a"))\"]")
    #expect(other.exceptionType == "ExecutionException")
  }

  @Test("'none' takes the server's consent, and what a server demands is not undone by a file")
  func levels() throws {
    let network = try Network()
    let refused = try Self.deploy(network, ", isolation: none")
    #expect(refused.ending == .code(1))
    #expect(refused.output.contains("start it with --isolation none"), "\(refused)")
    let wrong = try Self.deploy(network, ", isolation: strict, network: perhaps, read: [data], workers: 0")
    #expect(wrong.ending == .code(2))
    for word in [
      "'isolation' of service 'test' must be required, default or none", "'network' must be true or false",
      "whole paths on the servers", "'workers' of service 'test' must be a number from 1 to 1024",
    ] {
      #expect(wrong.errors.contains(word), "\(wrong)")
    }
    #expect(try Self.deploy(network, "").ending == .code(0))
    let stats = try network.shell("stats", "call s1 system.stats")
    #expect(stats.output.contains("Landlock"), "\(stats)")
    try network.server("s1").signal(SIGTERM)
    try network.server("s1").waitForEnd()
    try network.start("s1", options: ["--isolation", "none"])
    // Without it, what the escape tests try succeeds: they could fail.
    let key = network.directory.file("data/s1/server-key")
    #expect(try network.lines().call("test.read", "[\"\(key)\"]").exceptionType == nil)
    #expect(try Self.deploy(network, ", isolation: default").ending == .code(0))
    #expect(try network.lines().call("test.read", "[\"\(key)\"]").exceptionType == "ExecutionException")
    #expect(try network.lines().call("other.read", "[\"\(key)\"]").exceptionType == nil)
  }
}
