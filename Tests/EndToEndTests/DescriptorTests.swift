import Foundation
import RPCWire
import TestSupport
import Testing

@Suite("A server without descriptors")
struct DescriptorTests {
  /// What the process is doing, as the kernel tells.
  private static func isAsleep(_ pid: pid_t) -> Bool {
    let folder = "/proc/\(pid)/task"
    guard let threads = try? FileManager.default.contentsOfDirectory(atPath: folder) else { return false }
    return threads.allSatisfy { thread in
      // `12 (name) S …`
      guard let status = FileManager.default.contents(atPath: "\(folder)/\(thread)/stat") else { return true }
      return String(decoding: status, as: UTF8.self).contains(") S ")
    }
  }

  @Test("serves those it has, turns others away at once, and takes new ones as soon as it can")
  func runsOut() throws {
    let data = TemporaryDirectory()
    // Both limits, since the server raises the soft one to the hard one.
    let server = try ChildProcess(
      "/bin/sh",
      [
        "-c", "ulimit -n 64 && exec \"$@\"", "sh", Programs.server, "127.0.0.1", "0", "--data", data.path,
        "--loops", "1",
      ])
    defer { server.killAtOnce() }
    let line = try server.waitForLine("listening on")
    let port = try #require(line.firstMatch(of: /127\.0\.0\.1:(\d+),/).flatMap { Int($0.1) })

    var callers: [LineClient] = []
    var refused: LineClient?
    while refused == nil, callers.count < 64 {
      let caller = try LineClient(port: port)
      try? caller.send(line: LineClient.request("system.ping", "[]"))
      if try caller.receiveLine() == nil { refused = caller } else { callers.append(caller) }
    }
    #expect(refused != nil)
    #expect(callers.count > 20)
    try server.waitForLine("connection refused: accept on", on: .errors)

    // Each of many is told at once, and then its connection ends.
    for _ in 0..<100 { #expect(try LineClient(port: port).receiveToEnd().isEmpty) }
    // Those it has are served as ever, and those it turned away are counted.
    #expect(try #require(callers[0].stats()["connections_refused"]?.intValue) > 100)
    for caller in callers { #expect(try caller.call("system.ping") == .values(["pong"])) }
    // A server that spins on a listener it cannot serve is never asleep so many times in a row.
    var asleep = 0
    let deadline = Date(timeIntervalSinceNow: ChildProcess.timeoutSeconds)
    while asleep < 100, Date() < deadline { asleep = Self.isAsleep(server.pid) ? asleep + 1 : 0 }
    #expect(asleep == 100)

    // It hears of the end in its own time: try until it has.
    callers.removeLast()
    var answer: LineClient.Answer?
    while answer == nil, Date() < deadline {
      let caller = try LineClient(port: port)
      answer = try? caller.call("system.ping")
      if answer != nil { callers.append(caller) }
    }
    #expect(answer == .values(["pong"]))
    for caller in callers { #expect(try caller.call("system.ping") == .values(["pong"])) }
    server.signal(SIGTERM)
    #expect(try server.waitForEnd() == .code(0))
  }
}
