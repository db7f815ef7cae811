import Foundation
import RPCWire
import TestSupport
import Testing

@Suite("rpc-server as a program")
struct ServerProgramTests {
  @Test("it tells its version and every flag")
  func tellsAboutItself() throws {
    let version = try run(Programs.server, ["--version"])
    #expect(version.ending == .code(0))
    #expect(version.output.hasPrefix("rpc-server 1."))
    let help = try run(Programs.server, ["--help"])
    #expect(help.ending == .code(0))
    for word in ["--data", "--loops", "--drain-timeout", "--log-format", "--log-file", "Exit codes"] {
      #expect(help.output.contains(word), "\(word)")
    }
  }

  @Test(
    "wrong arguments end it with 2 and say what would be right",
    arguments: [
      (["127.0.0.1", "70000"], "0 to 65535, not 70000"),
      (["127.0.0.1", "-1"], "'-1'"),
      (["127.0.0.1", "http"], "http"),
      (["127.0.0.1"], "<port>"),
      ([], "<host>"),
      (["127.0.0.1", "0", "--loops", "-3"], "--loops"),
      (["127.0.0.1", "0", "--drain-timeout", "never"], "never"),
      (["127.0.0.1", "0", "--log-level", "loud"], "loud"),
      (["127.0.0.1", "0", "--color"], "--color"),
    ])
  func refusesWrongArguments(_ arguments: [String], _ message: String) throws {
    let outcome = try run(Programs.server, arguments)
    #expect(outcome.ending == .code(2))
    #expect(outcome.errors.contains(message), "\(outcome)")
    #expect(outcome.output.isEmpty)
  }

  @Test("an address in use ends it with 1, and the first server goes on")
  func addressInUse() throws {
    let network = try Network()
    let data = TemporaryDirectory()
    let outcome = try run(Programs.server, ["127.0.0.1", "\(network.port("s1"))", "--data", data.path])
    #expect(outcome.ending == .code(1))
    #expect(outcome.errors.contains("another process listens on this address"), "\(outcome)")
    #expect(try network.lines().call("system.ping") == .values(["pong"]))
  }

  @Test("an address of another machine ends it with 1", arguments: ["192.0.2.1", "2001:db8::1"])
  func foreignAddress(_ host: String) throws {
    let data = TemporaryDirectory()
    let outcome = try run(Programs.server, [host, "8181", "--data", data.path])
    #expect(outcome.ending == .code(1))
    #expect(outcome.errors.contains("does not belong to this machine"), "\(outcome)")
  }

  @Test("a name that is not a host ends it with 1 and names it")
  func unknownHost() throws {
    let data = TemporaryDirectory()
    let outcome = try run(Programs.server, ["no.such.host.invalid", "8181", "--data", data.path])
    #expect(outcome.ending == .code(1))
    #expect(outcome.errors.contains("no.such.host.invalid"), "\(outcome)")
    // The resolver's words alone: no file is missing.
    #expect(!outcome.errors.contains("No such file"), "\(outcome)")
  }

  @Test("it listens on IPv4, IPv6 and a host's name", arguments: ["127.0.0.1", "::1", "[::1]", "localhost"])
  func listens(_ host: String) throws {
    let data = TemporaryDirectory()
    let server = try ChildProcess(Programs.server, [host, "0", "--data", data.path])
    defer { server.killAtOnce() }
    let line = try server.waitForLine("listening on")
    #expect(!line.contains(":0,"))
    server.signal(SIGTERM)
    #expect(try server.waitForEnd() == .code(0))
  }

  @Test("a data directory that cannot be used ends it with 3")
  func unusableData() throws {
    let directory = TemporaryDirectory()
    let file = try directory.write("not a directory", to: "data")
    let outcome = try run(Programs.server, ["127.0.0.1", "0", "--data", file])
    #expect(outcome.ending == .code(3))
    #expect(outcome.errors.contains(file), "\(outcome)")
  }

  @Test("two servers do not share a data directory")
  func sharedData() throws {
    let network = try Network()
    let outcome = try run(
      Programs.server, ["127.0.0.1", "0", "--data", "\(network.directory.path)/data/s1"])
    #expect(outcome.ending == .code(3), "\(outcome)")
  }

  @Test("a log file that cannot be written ends it with 3")
  func unusableLog() throws {
    let data = TemporaryDirectory()
    let outcome = try run(
      Programs.server,
      ["127.0.0.1", "0", "--data", data.path, "--log-file", "\(data.path)/no/such/directory/log"])
    #expect(outcome.ending == .code(3))
    #expect(outcome.errors.contains("/no/such/directory/log"), "\(outcome)")
  }
}
