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
