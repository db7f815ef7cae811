import RPCSystem
import RPCTransport
import RPCWire
import Testing

@testable import RPCClient

@Suite("Blocking calls")
struct BlockingTests {
  /// Runs `body` on a thread of its own, since tests' own threads must not block.
  static func onThread<Output: Sendable>(
    _ body: @escaping @Sendable () throws(RPCError) -> Output
  ) async throws -> Output {
    try await withUnsafeContinuation { continuation in
      do {
        try LoopThread.spawn(name: "blocking") {
          do throws(RPCError) {
            continuation.resume(returning: Result<Output, any Error>.success(try body()))
          } catch {
            continuation.resume(returning: .failure(error))
          }
        }
      } catch {
        continuation.resume(returning: .failure(error))
      }
    }.get()
  }

  static func error(_ body: @escaping @Sendable () throws(RPCError) -> CallResult) async -> RPCError? {
    do {
      let result = try await onThread(body)
      Issue.record("returned \(result)")
      return nil
    } catch {
      return error as? RPCError
    }
  }

  static func client(_ servers: FakeServer..., options: ClientOptions = ClientOptions()) -> RPCClient {
    LifecycleTests.client(ports: servers.map(\.port), options: options)
  }

  @Test("one connection and one binding serve call after call")
  func reuse() async throws {
    let binds = Lock(0)
    let server = try FakeServer { peer in
      try peer.greet()
      while true {
        let frame = try peer.next(.bind, .call)
        if frame.kind == .bind {
          binds.withLock { $0 += 1 }
          try peer.bound(frame)
        } else {
          peer.reply(frame, try frame.call.arguments[0], .int(Int64(peer.number)))
        }
      }
    }
    let client = Self.client(server)
    try await Self.onThread { () throws(RPCError) in
      for number in 0..<100 {
        let (same, connection): (Int, Int) = try client.callBlocking("math.same", number)
        #expect(same == number)
        #expect(connection == 1)
      }
    }
    #expect(binds.withLock { $0 } == 1)
    await client.close()
  }

  @Test("threads that call at once share the loop's connection, but for the one with the short cut")
  func threads() async throws {
    let connections = Lock(0)
    let server = try FakeServer { peer in
      connections.withLock { $0 += 1 }
      try peer.greet()
      try peer.serve { $0[0] }
    }
    let client = Self.client(server)
    try await withThrowingTaskGroup { group in
      for thread in 0..<8 {
        group.addTask {
          try await Self.onThread { () throws(RPCError) in
            for number in 0..<50 {
              let answer: Int = try client.callBlocking("math.same", thread * 1000 + number)
              #expect(answer == thread * 1000 + number)
            }
          }
        }
      }
      try await group.waitForAll()
    }
    #expect(connections.withLock { $0 } <= 2)
    await client.close()
  }

  @Test("a connection that was closed while it rested is replaced without the caller's noticing")
  func closedWhileResting() async throws {
    let server = try FakeServer { peer in
      try peer.greet()
      peer.reply(try peer.next(.call), .int(Int64(peer.number)))
    }
    let client = Self.client(server)
    for number in 1...3 {
      let connection: Int = try await Self.onThread { () throws(RPCError) in
        let answer: Int = try client.callBlocking("math.x")
        // The server has ended the connection, and it has rested long enough to be looked at before use.
        server.waitForScripts()
        let start = SystemClock.monotonicNanoseconds()
        while SystemClock.monotonicNanoseconds() - start < 2_000_000 {}
        return answer
      }
      #expect(connection == number)
    }
    await client.close()
  }

  @Test("a deadline goes with the call, ends it on time and cancels it; the connection is used again")
  func deadline() async throws {
    let server = try FakeServer { peer in
      try peer.greet()
      let slow = try peer.next(.call)
      #expect(try slow.call.timeoutMicroseconds > 0)
      let cancel = try peer.next(.cancel)
      #expect(cancel.callID == slow.callID)
      // The answer that is still owed comes just before that of the next call.
      let next = try peer.next(.call)
      peer.fail(slow, RPCError(.cancelled, "as told", executed: .maybe))
      peer.reply(next, .int(Int64(peer.number)))
      peer.waitForEnd()
    }
    let client = Self.client(server)
    let error = await Self.error { () throws(RPCError) in
      try client.invokeBlocking("math.slow", [], options: .deadline(.milliseconds(60)))
    }
    #expect(error?.exception == .deadlineExceeded)
    #expect(error?.executed == .maybe)
    #expect(error?.message == "no answer within 60 ms; it may have been executed")
    let connection: Int = try await Self.onThread { () throws(RPCError) in try client.callBlocking("math.x") }
    #expect(connection == 1)
    await client.close()
  }

  @Test("GOAWAY: a call that did not begin moves to another connection, without counting as a try")
  func goAway() async throws {
    let server = try FakeServer { peer in
      try peer.greet()
      let call = try peer.next(.call)
      if peer.number == 1 {
        peer.send { GoAway(lastCallID: 0, reason: "drain", drainMilliseconds: 0).encode(to: &$0) }
        return peer.waitForEnd()
      }
      peer.reply(call, .int(Int64(peer.number)))
      peer.waitForEnd()
    }
    let client = Self.client(server)
    let result = try await Self.onThread { () throws(RPCError) in
      try client.invokeBlocking("math.x", [], options: CallOptions(deadline: nil, retry: .none))
    }
    #expect(result.values == [2])
    #expect(result.attempts == 1)
    await client.close()
  }

  @Test("a stale id is bound again; so is everything after a new generation")
  func staleBinding() async throws {
    let server = try FakeServer { peer in
      try peer.greet()
      try peer.bound(try peer.next(.bind), id: 1)
      peer.fail(try peer.next(.call), RPCError(.staleBinding, "bind again", executed: .no))
      try peer.bound(try peer.next(.bind), id: 2)
      let call = try peer.next(.call)
      peer.reply(call, .int(Int64(try call.call.procedureID)), .list(try call.call.arguments)) {
        $0.appendEmptyFrame(.generation, callID: 3)
      }
      try peer.bound(try peer.next(.bind), id: 3)
      let last = try peer.next(.call)
      peer.reply(last, .int(Int64(try last.call.procedureID)), .list(try last.call.arguments))
      peer.waitForEnd()
    }
    let client = Self.client(server)
    for id in 2...3 {
      let result = try await Self.onThread { () throws(RPCError) in
        try client.invokeBlocking("math.x", [1, "two"])
      }
      #expect(result.values == [.int(Int64(id)), [1, "two"]])
    }
    await client.close()
  }

  @Test("where one server refuses connections the others are asked first")
  func othersFirst() async throws {
    let port = try LifecycleTests.deadPort()
    let server = try FakeServer { peer in
      try peer.greet()
      try peer.serve { _ in "up" }
    }
    let client = LifecycleTests.client(ports: [port, server.port])
    for _ in 0..<5 {
      let result = try await Self.onThread { () throws(RPCError) in try client.invokeBlocking("math.x", []) }
      #expect(result.server == "s2")
    }
    await client.close()
  }

  @Test("a call that waits for its server is answered when the server comes")
  func waitForReady() async throws {
    let port = try LifecycleTests.deadPort()
    let client = LifecycleTests.client(ports: [port])
    let started = Latch()
    let call = Task {
      try await Self.onThread { () throws(RPCError) in
        started.signal()
        return try client.invokeBlocking(
          "math.x", [], options: CallOptions(deadline: .seconds(20), waitForReady: true))
      }
    }
    started.wait()
    let server = try FakeServer(port: port) { peer in
      try peer.greet()
      try peer.serve { _ in "at last" }
    }
    #expect(try await call.value.values == ["at last"])
    await client.close()
    server.stop()
  }

  @Test("closing the client wakes a thread that waits")
  func close() async throws {
    _ = try await LifecycleTests.closing { client in
      await Self.error { () throws(RPCError) in try client.invokeBlocking("math.x", []) }
    }
  }

  @Test("a server that falls silent is asked for a sign of life and given up without one")
  func liveness() async throws {
    let server = try FakeServer { peer in
      try peer.greet()
      _ = try peer.next(.call)
      while try peer.readFrame().kind != .ping {}
      peer.waitForEnd()
    }
    var options = ClientOptions()
    options.keepalive = .milliseconds(30)
    let client = Self.client(server, options: options)
    let error = await Self.error { () throws(RPCError) in try client.invokeBlocking("math.x", []) }
    #expect(error?.exception == .unavailable)
    #expect(error?.message.contains("has stopped answering: no PONG within 30 ms") == true)
    await client.close()
  }

  @Test("large values come back whole, in both directions")
  func large() async throws {
    let server = try FakeServer { peer in
      try peer.greet()
      try peer.serve { $0[0] }
    }
    let client = Self.client(server)
    let bytes = Bytes((0..<3_000_000).map { UInt8(truncatingIfNeeded: $0 &* 31) })
    let same = try await Self.onThread { () throws(RPCError) in
      let back: Bytes = try client.callBlocking("math.same", bytes)
      return back == bytes
    }
    #expect(same)
    let asynchronous: Bytes = try await client.call("math.same", bytes)
    #expect(asynchronous == bytes)
    await client.close()
  }
}
