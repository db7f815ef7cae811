import Foundation
import RPCWire
import TestSupport
import Testing

@Suite("initializer as a program")
struct InitializerTests {
  /// Two servers: `first` on both, `second` on s2 alone.
  private func network(start: Bool = true) throws -> Network {
    let network = try Network(["s1", "s2"], start: start)
    try network.directory.write("def one(): return 1\n\ndef two(): return 2\n", to: "first.py")
    try network.directory.write("def three(): return 3\n", to: "sub/second.py")
    try network.describe(Self.services)
    return network
  }

  private static let services = """
    service:
      - first: {providers: [s1, s2], tenants: [me], rpcs: [one, two]}
      - second: {providers: [s2], tenants: [me], rpcs: [three]}
    rpc:
      first:
        - one: {args: [], returns: [int], src: first.py}
        - two: {args: [], returns: [int], src: first.py}
      second:
        - three: {args: [], returns: [int], src: sub/second.py}
    """

  @Test("it gives each server the procedures of the services that it provides, and no others")
  func distributes() throws {
    let network = try network()
    let outcome = try network.initialize()
    #expect(outcome.ending == .code(0), "\(outcome)")
    #expect(outcome.errors.isEmpty)
    #expect(outcome.output.contains("first.one() -> int"))
    #expect(try network.lines("s1").call("first.one") == .values([1]))
    #expect(try network.lines("s2").call("first.two") == .values([2]))
    #expect(try network.lines("s2").call("second.three") == .values([3]))
    let elsewhere = try network.lines("s1").call("second.three")
    #expect(elsewhere.exceptionType == "ServiceNotFound")
    #expect(elsewhere.exceptionMessage?.contains("s2") == true, "\(elsewhere)")
  }

  @Test("a second run sends nothing and says so")
  func isIdempotent() throws {
    let network = try network()
    let first = try network.deploy()
    #expect(first.output.contains("sent 1 source"))
    let second = try network.deploy()
    #expect(!second.output.contains("sent"), "\(second)")
    #expect(second.output.contains("Everything is up to date."))
    #expect(second.lines.count { $0.contains("up to date (generation 1") } == 2)
  }

  @Test("it finds ./init.yaml, and sources beside a file that is somewhere else")
  func findsFiles() throws {
    let network = try network()
    let here = try run(Programs.initializer, directory: network.directory.path)
    #expect(here.ending == .code(0), "\(here)")
    let there = try run(Programs.initializer, [network.file], directory: "/")
    #expect(there.ending == .code(0), "\(there)")
    let nowhere = TemporaryDirectory()
    let missing = try run(Programs.initializer, directory: nowhere.path)
    #expect(missing.ending == .code(2))
    #expect(missing.errors.contains("init.yaml"), "\(missing)")
  }

  @Test("a server that is not reached is named, the run fails, and no server is changed")
  func missesNobodySilently() throws {
    let network = try network(start: false)
    try network.start("s1")
    let outcome = try network.initialize(["--timeout", "5"])
    #expect(outcome.ending == .code(1))
    #expect(outcome.output.contains("because of s2"), "\(outcome)")
    #expect(try network.lines("s1").call("first.one").exceptionType == "ServiceNotFound")
    try network.start("s2")
    try network.deploy()
    #expect(try network.lines("s1").call("first.one") == .values([1]))
    #expect(try network.lines("s2").call("second.three") == .values([3]))
  }

  @Test("all that is wrong with a file is told at once, with line and column, before a byte is sent")
  func tellsAllErrors() throws {
    let network = try network(start: false)
    try network.describe(
      """
      service:
        - first: {providers: [s1, s3], tenants: [you], rpcs: [one]}
      rpc:
        first:
          - one: {args: [integer], returns: [int], src: first.py}
          - ten: {args: [], returns: [int], src: nowhere.py}
      """)
    let outcome = try network.initialize()
    #expect(outcome.ending == .code(2))
    #expect(outcome.output.isEmpty)
    for fragment in ["'s3'", "did you mean", "'you'", "integer", "'ten'", "nowhere.py"] {
      #expect(outcome.errors.contains(fragment), "\(fragment) in \(outcome)")
    }
    let places = outcome.errors.split(separator: "\n").filter {
      $0.hasPrefix(network.file) && $0.dropFirst(network.file.count).hasPrefix(":")
    }
    #expect(places.count >= 5, "\(outcome)")
  }

  @Test("a dry run tells what it would do and does nothing")
  func dryRun() throws {
    let network = try network()
    let outcome = try network.initialize(["--dry-run"])
    #expect(outcome.ending == .code(0))
    #expect(outcome.output.contains("first.one() -> int"))
    #expect(try network.lines("s1").call("first.one").exceptionType == "ServiceNotFound")
  }

  @Test("a dry run loads every source on every server, and finds what a deployment would refuse")
  func dryRunLoads() throws {
    let network = try network()
    try network.directory.write("def one()\n  return 1\n\ndef two(): return 2\n", to: "first.py")
    let dry = try network.initialize(["--dry-run"])
    #expect(dry.ending == .code(1), "\(dry)")
    #expect(dry.output.contains("first.py:1: "), "\(dry)")
    // Both servers and both procedures say the same, which is told once.
    #expect(dry.output.components(separatedBy: "first.py:1: ").count == 2, "\(dry)")
    #expect(dry.output.contains("(first.one() -> int and 1 more)"), "\(dry)")
    #expect(try network.lines("s1").call("first.one").exceptionType == "ServiceNotFound")
    try network.directory.write("def one(): return 1\n\ndef two(): return 2\n", to: "first.py")
    #expect(try network.initialize(["--dry-run"]).ending == .code(0))
    let answer = try network.lines("s1").call("system.catalogue")
    guard case .values(let values) = answer, let catalogue = values.listValue?.first else {
      Issue.record("\(answer)")
      return
    }
    #expect(catalogue["generation"] == 0 && catalogue["digest"] == "")
    try network.deploy()
  }

  @Test("output that cannot be written is a failure, of every command")
  func unwritable() throws {
    let network = try network()
    let program = Programs.initializer
    for command in [
      network.file, "\(network.file) -n", "\(network.file) -o json", "--list-servers \(network.file)",
      "unlock --file \(network.file)", "--help", "--version", "unlock --help",
    ] {
      let full = try run("sh", ["-c", "\(program) \(command) > /dev/full"])
      #expect(full.ending == .code(1), "\(command): \(full)")
      #expect(full.errors.contains("cannot write to standard output: No space left on device"), "\(full)")
      let closed = try run("sh", ["-c", "\(program) \(command) >&-"])
      #expect(closed.ending == .code(1), "\(command): \(closed)")
      #expect(closed.errors.contains("cannot write to standard output: it is closed"), "\(closed)")
    }
    // Nothing else takes the place of a descriptor that is closed.
    #expect(try run("sh", ["-c", "\(program) \(network.file) <&- 2>&-"]).ending == .code(0))
    let bench = "\(Programs.directory)/rpc-bench"
    for other in [
      "\(Programs.server) --help", "\(Programs.shell) --help", "\(bench) --help",
      "\(bench) 127.0.0.1 \(try network.port("s1")) system.ping --count 1 --warmup 0",
      "\(Programs.server) 127.0.0.1 0 --print-pin --data \(network.directory.path)/pin",
    ] {
      let full = try run("sh", ["-c", "\(other) > /dev/full"])
      #expect(full.ending == .code(1), "\(other): \(full)")
      #expect(full.errors.contains("cannot write to standard output: No space left on device"), "\(full)")
    }
  }

  @Test("apply is what is done without a word, and a file may be named like a word")
  func words() throws {
    let network = try network()
    #expect(try run(Programs.initializer, ["apply", network.file]).ending == .code(0))
    let directory = TemporaryDirectory()
    try FileManager.default.copyItem(atPath: network.file, toPath: directory.file("unlock"))
    for name in ["first.py", "sub"] {
      try FileManager.default.copyItem(
        atPath: "\(network.directory.path)/\(name)", toPath: directory.file(name))
    }
    let named = try run(Programs.initializer, ["./unlock"], directory: directory.path)
    #expect(named.output.contains("Everything is up to date."), "\(named)")
    let word = try run(
      Programs.initializer, ["unlock", "--file", "./unlock", "--server", "s2"], directory: directory.path)
    #expect(word.output == "s2  was not locked\n", "\(word)")
    let here = try run(Programs.initializer, ["unlock"], directory: network.directory.path)
    #expect(here.output == "s1  was not locked\ns2  was not locked\n", "\(here)")
    let help = try run(Programs.initializer, ["--help"])
    #expect(help.output.contains("unlock") && help.output.contains("apply"), "\(help)")
    #expect(try run(Programs.initializer, ["apply", "--help"]).output.contains("--dry-run"))
    let mistyped = try run(Programs.initializer, ["aply"], directory: network.directory.path)
    #expect(mistyped.ending == .code(2))
    #expect(
      mistyped.errors == "initializer: there is no command and no file 'aply' (did you mean 'apply'?)\n")
  }

  @Test("a killed run locks nobody out")
  func killed() throws {
    let network = try network()
    try network.deploy()
    // Loading takes longer than any test waits.
    try network.directory.write(
      "import time\ntime.sleep(600)\ndef one(): return 1\n\ndef two(): return 2\n", to: "first.py")
    let stuck = try ChildProcess(Programs.initializer, [network.file, "--timeout", "600"])
    let server = try network.server("s1")
    try server.waitFor(.errors, "the second deployment", seconds: 60) {
      $0.components(separatedBy: " wanted").count > 2 ? true : nil
    }
    let blocked = try network.initialize(["--server", "s1"])
    #expect(blocked.output.contains("is deploying"), "\(blocked)")
    stuck.killAtOnce()
    try network.directory.write("def one(): return 11\n\ndef two(): return 2\n", to: "first.py")
    var outcome = try network.initialize()
    // The end of a connection is read at once, though not before the kill returns.
    for _ in 0..<100 where outcome.ending != .code(0) { outcome = try network.initialize() }
    #expect(outcome.ending == .code(0), "\(outcome)")
    #expect(try network.lines("s1").call("first.one") == .values([11]))
  }

  @Test("a run that hangs is unlocked, or broken by force")
  func unlocks() throws {
    let network = try network()
    try network.directory.write(
      "import time\ntime.sleep(600)\ndef one(): return 1\n\ndef two(): return 2\n", to: "first.py")
    for force in [false, true] {
      let stuck = try ChildProcess(
        Programs.initializer, [network.file, "--timeout", "600", "--server", "s1"])
      defer { stuck.killAtOnce() }
      let server = try network.server("s1")
      let round = force ? 3 : 2
      try server.waitFor(.errors, "the preparation", seconds: 60) {
        $0.components(separatedBy: " wanted").count >= round ? true : nil
      }
      if force {
        try network.directory.write("def one(): return 1\n\ndef two(): return 2\n", to: "first.py")
        let outcome = try network.initialize(["--server", "s1", "--force"])
        #expect(outcome.ending == .code(0), "\(outcome)")
      } else {
        let outcome = try run(Programs.initializer, ["unlock", "--file", network.file])
        #expect(outcome.output.contains("s1  unlocked; it was locked by "), "\(outcome)")
        #expect(outcome.output.contains("(process \(stuck.pid))"), "\(outcome)")
        #expect(
          try run(Programs.initializer, ["unlock", "--file", network.file]).output.contains("s1  was not"))
      }
    }
  }

  @Test("a wrong file or key is told in a line, without the usage")
  func shortErrors() throws {
    let directory = TemporaryDirectory()
    try directory.write("junk", to: "key")
    for arguments in [
      ["nowhere.yaml"], ["--key", "key"], ["--key", "nowhere"], ["unlock", "--key", "key"],
    ] {
      let outcome = try run(Programs.initializer, arguments, directory: directory.path)
      #expect(outcome.ending == .code(2))
      #expect(outcome.output.isEmpty && !outcome.errors.contains("Usage"), "\(outcome)")
      #expect(outcome.errors.split(separator: "\n").count == 1, "\(outcome)")
    }
  }

  @Test("a source that does not load is refused everywhere, with its place")
  func refusesBrokenSources() throws {
    let network = try network()
    try network.deploy()
    try network.directory.write("def one(): return 1\n\ndef two(): return undefined +\n", to: "first.py")
    let outcome = try network.initialize()
    #expect(outcome.ending != .code(0))
    #expect((outcome.output + outcome.errors).contains("first.py:3"), "\(outcome)")
    #expect(try network.lines("s1").call("first.two") == .values([2]))
  }

  @Test("with json output it prints one object that a program can read")
  func printsJSON() throws {
    let network = try network()
    for arguments in [["-o", "json"], ["-o", "json"]] {
      let outcome = try network.initialize(arguments)
      #expect(outcome.ending == .code(0))
      #expect(outcome.lines.count == 1)
      let object = try JSONSerialization.jsonObject(with: Data(outcome.output.utf8))
      #expect(object is [String: Any])
    }
  }

  @Test("it lists the servers of a file for scripts")
  func listsServers() throws {
    let network = try network(start: false)
    let outcome = try run(Programs.initializer, ["--list-servers", network.file])
    #expect(
      outcome.lines == ["s1 127.0.0.1 \(try network.port("s1"))", "s2 127.0.0.1 \(try network.port("s2"))"])
  }
}
