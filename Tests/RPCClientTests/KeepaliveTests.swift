import RPCServer
import RPCSystem
import RPCTransport
import RPCWire
import Testing

@testable import RPCClient

@Suite("Servers that do not answer any more")
struct KeepaliveTests {
  @Test("a provider that takes connections and says nothing gets no call while another one answers")
  func silentFromTheStart() async throws {
    let silent = try FakeServer { peer in peer.waitForEnd() }
    let answering = try FakeServer { peer in
      try peer.greet()
      try peer.serve { _ in "here" }
    }
    var options = ClientOptions()
    // Longer than the test may take.
    options.connectTimeout = .seconds(60)
    let client = RecoveryTests.client(silent, answering, options: options)
    for _ in 0..<50 {
      #expect(try await client.invoke("math.x", [], options: RecoveryTests.once).server == "s2")
    }
    let servers = try await BlockingTests.onThread { () throws(RPCError) in
      var servers: Set<String> = []
      for _ in 0..<50 {
        servers.insert(try client.invokeBlocking("math.x", [], options: RecoveryTests.once).server)
      }
      return servers
    }
    #expect(servers == ["s2"])
    await client.close()
  }

  /// A server that can be frozen, as a process is by SIGSTOP: connections go through, and nobody answers.
  private final class Freezer: Sendable {
    private let isFrozen = Lock(false)
    private let thawed = Latch()

    func freeze() { isFrozen.withLock { $0 = true } }
    func thaw() {
      isFrozen.withLock { $0 = false }
      thawed.signal()
    }

    func server(_ name: String, idempotent: Bool = false) throws -> FakeServer {
      try FakeServer { [self] peer in
        waitWhileFrozen()
        try peer.greet()
        while true {
          let frame = try peer.next(.call, .cancel, .ping, .bind)
          waitWhileFrozen()
          switch frame.kind {
          case .call: peer.reply(frame, .string(name))
          case .ping: peer.send { $0.appendEmptyFrame(.pong, callID: frame.callID) }
          case .bind: try peer.bound(frame, idempotent: idempotent)
          default: break
          }
        }
      }
    }

    private func waitWhileFrozen() {
      if isFrozen.withLock({ $0 }) { thawed.wait() }
    }
  }

  private static var options: ClientOptions {
    var options = ClientOptions()
    options.keepalive = .milliseconds(100)
    options.connectTimeout = .milliseconds(300)
    options.reconnect = Backoff(initial: .milliseconds(10), maximum: .milliseconds(50))
    return options
  }

  @Test(
    "of two providers one freezes: what it has fails as maybe, all else goes to the other, until it is back")
  func freezes() async throws {
    let freezer = Freezer()
    let freezing = try freezer.server("s1")
    let answering = try Freezer().server("s2")
    let client = RecoveryTests.client(freezing, answering, options: Self.options)
    await RecoveryTests.connectAll(client)
    let workers = 8
    freezer.freeze()
    let errors = try await withThrowingTaskGroup(of: [RPCError].self) { group in
      for _ in 0..<workers {
        group.addTask {
          var errors: [RPCError] = []
          for _ in 0..<200 {
            do throws(RPCError) {
              #expect(try await client.invoke("math.x", [], options: RecoveryTests.once).server == "s2")
            } catch {
              errors.append(error)
            }
          }
          return errors
        }
      }
      return try await group.reduce(into: []) { $0 += $1 }
    }
    // At most what was in flight when it froze.
    #expect(errors.count <= workers)
    for error in errors {
      #expect(error.executed == .maybe)
      #expect(
        error.message
          == "server 's1' (127.0.0.1:\(freezing.port)) has stopped answering: no PONG within 100 ms")
    }
    freezer.thaw()
    while try await client.invoke("math.x", []).server != "s1" {}
    await client.close()
  }

  @Test("blocking: one that freezes costs one call, and is called again when it is back")
  func blockingFreezes() async throws {
    let freezer = Freezer()
    let freezing = try freezer.server("s1")
    let answering = try Freezer().server("s2")
    let client = RecoveryTests.client(freezing, answering, options: Self.options)
    let errors = try await BlockingTests.onThread { () throws(RPCError) in
      while try client.invokeBlocking("math.x", []).server != "s1" {}
      freezer.freeze()
      var errors: [RPCError] = []
      for _ in 0..<200 {
        do throws(RPCError) {
          let server = try client.invokeBlocking("math.x", [], options: RecoveryTests.once).server
          #expect(server == "s2")
        } catch {
          errors.append(error)
        }
      }
      freezer.thaw()
      while try client.invokeBlocking("math.x", []).server != "s1" {}
      return errors
    }
    #expect(errors.count <= 1)
    for error in errors {
      #expect(error.executed == .maybe)
      #expect(error.message.hasSuffix("has stopped answering: no PONG within 100 ms"))
    }
    await client.close()
  }

  @Test("a call that may be repeated moves from a frozen server to another", arguments: [true, false])
  func moves(isBlocking: Bool) async throws {
    let freezer = Freezer()
    let freezing = try freezer.server("s1", idempotent: true)
    let answering = try Freezer().server("s2", idempotent: true)
    let client = RecoveryTests.client(freezing, answering, options: Self.options)
    let options = CallOptions(deadline: nil, retry: RetryPolicy(attempts: 2, repeatsIdempotent: true))
    @Sendable func call() async throws -> CallResult {
      if !isBlocking { return try await client.invoke("math.x", [], options: options) }
      return try await BlockingTests.onThread { () throws(RPCError) in
        try client.invokeBlocking("math.x", [], options: options)
      }
    }
    // Both have been called, so both are connected to and bound.
    var seen: Set<String> = []
    while seen.count < 2 { seen.insert(try await call().server) }
    freezer.freeze()
    for _ in 0..<10 { #expect(try await call().server == "s2") }
    freezer.thaw()
    await client.close()
  }

  @Test("a deadline ends a call to a frozen server as it ends any other")
  func deadline() async throws {
    let freezer = Freezer()
    let server = try freezer.server("s1")
    let client = RecoveryTests.client(server)
    _ = try await client.invoke("math.x", [])
    _ = try await BlockingTests.onThread { () throws(RPCError) in try client.invokeBlocking("math.x", []) }
    freezer.freeze()
    let options = CallOptions.deadline(.milliseconds(50))
    var expected = RPCError(
      .deadlineExceeded, "no answer within 50 ms; it may have been executed", executed: .maybe)
    expected.server = "s1"
    #expect(
      await LifecycleTests.error { () throws(RPCError) in
        try await client.invoke("math.x", [], options: options)
      } == expected)
    #expect(
      await BlockingTests.error { () throws(RPCError) in
        try client.invokeBlocking("math.x", [], options: options)
      } == expected)
    freezer.thaw()
    await client.close()
  }

  @Test("a ping of a frozen server fails as its calls do")
  func ping() async throws {
    let freezer = Freezer()
    let server = try freezer.server("s1")
    let client = RecoveryTests.client(server, options: Self.options)
    _ = try await client.ping("s1")
    freezer.freeze()
    do {
      _ = try await client.ping("s1")
      Issue.record("answered")
    } catch {
      #expect(error.message.hasSuffix("has stopped answering: no PONG within 100 ms"))
    }
    freezer.thaw()
    await client.close()
  }

  @Test("without calls in flight no PING is sent before the server's own interval")
  func idle() async throws {
    let pings = Lock(0)
    let server = try FakeServer { peer in
      try peer.greet { $0.pingMilliseconds = 60_000 }
      while true {
        let frame = try peer.next(.call, .ping)
        if frame.kind == .call { peer.reply(frame, "x") } else { pings.withLock { $0 += 1 } }
      }
    }
    var options = Self.options
    // Longer than the call takes, far shorter than the silence after it.
    options.keepalive = .milliseconds(150)
    let client = RecoveryTests.client(server, options: options)
    _ = try await client.invoke("math.x", [])
    let sent = pings.withLock { $0 }
    let start = SystemClock.monotonicNanoseconds()
    while SystemClock.monotonicNanoseconds() - start < 500_000_000 { await BindingTests.settle(client) }
    #expect(pings.withLock { $0 } == sent)
    await client.close()
  }
}
