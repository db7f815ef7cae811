import Foundation
import RPCWire
import TestSupport
import Testing

@Suite("The limits of rpc-server")
struct FlagTests {
  /// Each flag with the smallest and the largest value that it takes.
  static let flags: [(name: String, least: Int, most: Int)] = [
    ("--drain-timeout", 0, 3_600_000), ("--handshake-timeout", 0, 3_600_000),
    ("--idle-timeout", 0, 86_400_000), ("--frame-timeout", 0, 3_600_000), ("--ping-interval", 0, 86_400_000),
    ("--keepalive", 0, 3_600_000), ("--ack-timeout", 0, 3_600_000),
    ("--max-frame", 4096, 268_435_456), ("--max-json", 4096, 268_435_456),
    ("--max-calls-per-connection", 1, 1_000_000),
    ("--max-calls", 1, 10_000_000), ("--max-connections", 1, 1_000_000),
    ("--max-memory", 1_048_576, 1_099_511_627_776),
    ("--output-high-water", 4096, 1_073_741_824), ("--backlog", 1, 65_535), ("--busy-poll", 0, 1_000_000),
    ("--max-result", 4096, 268_435_456),
    ("--max-log-per-call", 0, 1_073_741_824),
    ("--max-log-lines-per-call", 0, 1_000_000),
    ("--max-log-per-second", 0, 1_073_741_824),
    ("--max-log-per-second-of-all", 0, 1_073_741_824),
    ("--load-timeout", 1, 3_600_000),
    ("--max-source", 1, 268_435_456),
    ("--max-message", 64, 1_048_576),
    ("--quarantine-crashes", 0, 1_000_000),
    ("--quarantine-window", 1, 86_400_000),
    ("--python-workers", 1, 1024),
    ("--python-spare-workers", 0, 1024),
    ("--python-waiting-workers", 1, 1024),
    ("--python-queue", 0, 1_000_000),
    ("--python-memory", 1_048_576, 1_099_511_627_776),
    ("--python-memory-slack", 0, 1_099_511_627_776),
    ("--python-look-interval", 10, 60_000),
    ("--python-parent-timeout", 100, 3_600_000),
    ("--python-start-timeout", 100, 3_600_000),
    ("--python-calls-per-worker", 1, 1_000_000_000),
    ("--python-print", 0, 1_073_741_824),
    ("--python-file", 0, 1_099_511_627_776),
    ("--python-descriptors", 16, 1_000_000),
    ("--python-processes", 0, 100_000),
    ("--python-restart-delay", 0, 3_600_000),
    ("--lua-memory", 1_048_576, 1_099_511_627_776),
    ("--lua-machine-shares", 1, 1024),
    ("--lua-value", 4096, 1_073_741_824),
    ("--lua-source", 1, 268_435_456),
    ("--lua-slices", 1, 1_000_000_000),
    ("--lua-calls", 1, 1_000_000),
    ("--lua-unpausable", 1, 10_000),
    ("--lua-overrun", 1, 60_000),
    ("--lua-operation", 1, 60_000),
    ("--lua-refusal", 0, 3_600_000),
    ("--lua-idle-garbage", 0, 1_073_741_824),
    ("--lua-idle-interpreters", 0, 1_000_000),
    ("--lua-idle-time", 1, 86_400_000),
    ("--lua-idle-source", 0, 268_435_456),
    ("--loops", 0, 1024),
  ]

  @Test("--help shows every flag with its default, and no limit is without a test")
  func help() throws {
    let help = try run(Programs.server, ["--help"]).output
    for flag in Self.flags { #expect(help.contains("\(flag.name) <"), "\(flag.name)") }
    // A new limit is added above.
    let limits = help.split(separator: "LIMITS:")[1].split(separator: "HTTP:")[0]
    let named = limits.matches(of: /--[a-z-]+(?= <)/).map { String($0.0) }
    #expect(Set(named + ["--loops"]) == Set(Self.flags.map(\.name)))
    #expect(limits.matches(of: /\(default:/).count == named.count)
  }

  @Test("a value just beyond the bounds is refused, and the message says both", arguments: flags.indices)
  func beyond(index: Int) throws {
    let flag = Self.flags[index]
    for value in [flag.least - 1, flag.most + 1] {
      let outcome = try run(Programs.server, ["127.0.0.1", "0", "\(flag.name)=\(value)"])
      #expect(outcome.ending == .code(2))
      #expect(
        outcome.errors.contains("\(flag.name) must be \(flag.least) to \(flag.most), not \(value)"),
        "\(outcome)")
    }
  }

  @Test("with every limit at its bound a server starts, and stops when told", arguments: [true, false])
  func within(isLeast: Bool) throws {
    let data = TemporaryDirectory()
    let arguments = Self.flags.filter { $0.name != "--loops" }.map {
      "\($0.name)=\(isLeast ? $0.least : $0.most)"
    }
    let server = try ChildProcess(
      Programs.server, ["127.0.0.1", "0", "--data", data.path, "--loops", "1"] + arguments)
    defer { server.killAtOnce() }
    let line = try server.waitForLine("listening on")
    let port = try #require(line.firstMatch(of: /127\.0\.0\.1:(\d+),/).flatMap { Int($0.1) })
    let caller = try LineClient(port: port)
    #expect(try caller.call("system.ping") == .values(["pong"]))
    server.signal(SIGTERM)
    #expect(try server.waitForEnd() == .code(0))
  }
}
