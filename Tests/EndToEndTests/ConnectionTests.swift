import Foundation
import RPCClient
import RPCWire
import Testing

@Suite("Many connections and many calls")
struct ConnectionTests {
  /// The tests' own bound on open files is raised, as the server raises its own.
  private static let canOpenMany: Bool = {
    var limit = rlimit()
    guard getrlimit(__rlimit_resource_t(7), &limit) == 0 else { return false }
    limit.rlim_cur = min(limit.rlim_max, 65_536)
    return setrlimit(__rlimit_resource_t(7), &limit) == 0 && limit.rlim_cur >= 8192
  }()

  @Test("thousands of connections are open at once, and each is served", .enabled(if: canOpenMany))
  func thousands() throws {
    let network = try Network()
    let callers = try (0..<3000).map { _ in try network.lines() }
    for caller in callers { try caller.send(line: LineClient.request("system.ping", "[]")) }
    for caller in callers { #expect(try caller.receiveAnswer() == .values(["pong"])) }
    #expect(try network.lines().stats()["connections"] == 3001)
  }

  @Test("a connection above the bound is closed at once, and one more fits when one has gone")
  func bound() throws {
    let network = try Network(options: ["--max-connections", "3"])
    var callers = try (0..<3).map { _ in try network.lines() }
    for caller in callers { #expect(try caller.call("system.ping") == .values(["pong"])) }
    let fourth = try network.lines()
    #expect(try fourth.receiveToEnd().isEmpty)
    #expect(try callers[0].stats()["connections_refused"] == 1)
    callers.removeLast()
    let deadline = Date(timeIntervalSinceNow: ChildProcess.timeoutSeconds)
    var answer: LineClient.Answer?
    // The server hears of the end a little later.
    while answer == nil, Date() < deadline { answer = try? network.lines().call("system.ping") }
    #expect(answer == .values(["pong"]))
    let refused = try callers[0].stats()["connections_refused"]?.intValue
    #expect(try #require(refused) >= 1)
  }

  @Test("a thousand calls in flight on one connection are all answered, each with its own answer")
  func pipelined() async throws {
    let network = try Network()
    try network.deployPython(
      ["echo: {args: [int], returns: [int]}"], source: "def echo(number): return number\n")
    let client = network.client()
    try await withThrowingTaskGroup(of: Bool.self) { group in
      for number in 0..<1000 {
        group.addTask { try await client.call("test.echo", number, on: "s1") == number }
      }
      for try await isRight in group { #expect(isRight) }
    }
    await client.close()
  }

  @Test("requests that arrive a byte at a time, or many at once, are answered in order")
  func pieces() throws {
    let network = try Network()
    let caller = try network.lines()
    let request = Array((LineClient.request("system.ping", "[]", more: #","id":1"#) + "\r\n").utf8)
    for byte in request { try caller.send([byte]) }
    #expect(try caller.receiveAnswer() == .values(["pong"]))
    let many = (0..<500).map { LineClient.request("system.ping", "[]", more: ",\"id\":\($0)") }
    try caller.send((many.joined(separator: "\n\n") + "\n").utf8)
    for number in 0..<500 {
      #expect(try caller.receiveLine()?.contains("\"id\":\(number),") == true)
    }
  }

  @Test("blocking callers on many threads share one client")
  func blocking() async throws {
    let network = try Network()
    try network.deployPython(
      ["echo: {args: [int], returns: [int]}"], source: "def echo(number): return number\n")
    let client = network.client()
    let failures = ThreadCounter()
    let threads = (0..<8).map { index in
      Thread {
        for number in 0..<20 {
          let sent = index * 100 + number
          if (try? client.callBlocking("test.echo", sent) as Int) != sent { failures.add() }
        }
        failures.finish()
      }
    }
    for thread in threads { thread.start() }
    try failures.wait(for: threads.count)
    #expect(failures.count == 0)
    await client.close()
  }
}

/// Counts what happens on several threads.
///
/// `@unchecked Sendable`: guarded by the condition.
private final class ThreadCounter: @unchecked Sendable {
  private let condition = NSCondition()
  private var added = 0
  private var finished = 0

  var count: Int { condition.withLock { added } }

  func add() { condition.withLock { added += 1 } }

  func finish() {
    condition.withLock {
      finished += 1
      condition.broadcast()
    }
  }

  func wait(for count: Int) throws {
    let deadline = Date(timeIntervalSinceNow: ChildProcess.timeoutSeconds)
    condition.lock()
    defer { condition.unlock() }
    while finished < count {
      guard condition.wait(until: deadline) else { throw Failure("the threads do not end") }
    }
  }
}
