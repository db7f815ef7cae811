import RPCSystem
import RPCTransport
import RPCWire
import Testing

@testable import RPCClient

@Suite("The life of connections and calls")
struct LifecycleTests {
  static func client(
    _ servers: FakeServer..., options: ClientOptions = ClientOptions()
  ) -> RPCClient {
    client(ports: servers.map(\.port), options: options)
  }

  /// Closes a client while `call` is in flight, and calls once more: what both are told.
  static func closing(_ call: @escaping @Sendable (RPCClient) async -> RPCError?) async throws -> (
    client: RPCClient, error: RPCError?
  ) {
    let arrived = AsyncStream.makeStream(of: Void.self)
    let server = try FakeServer { peer in
      try peer.greet()
      _ = try peer.next(.call)
      arrived.continuation.yield()
      peer.waitForEnd()
    }
    let client = client(server)
    let running = Task { await call(client) }
    for await _ in arrived.stream { break }
    await client.close()
    let error = await running.value
    #expect(error?.executed == .maybe)
    #expect(await call(client)?.message == "the client was closed")
    return (client, error)
  }

  static func client(
    ports: [UInt16], identity: Topology.Client? = nil, options: ClientOptions = ClientOptions()
  ) -> RPCClient {
    let names = ports.indices.map { "s\($0 + 1)" }
    let topology = Topology(
      servers: zip(names, ports).map { .init(name: $0, host: "127.0.0.1", port: $1) },
      clients: identity.map { [$0] } ?? [],
      services: [.init(name: "math", providers: names, tenants: [])])
    return RPCClient(topology: topology, identity: identity?.name, options: options)
  }

  /// A port on which nobody listens.
  static func deadPort() throws -> UInt16 {
    let server = try FakeServer { _ in }
    defer { server.stop() }
    return server.port
  }

  /// The error of a call that must fail.
  static func error(_ body: () async throws(RPCError) -> CallResult) async -> RPCError? {
    do {
      let result = try await body()
      Issue.record("returned \(result)")
      return nil
    } catch {
      return error
    }
  }

  /// The two ways to call and wait.
  enum Way: CaseIterable {
    case asynchronous, blocking

    func invoke(
      _ client: RPCClient, _ procedure: String = "math.x", options: CallOptions = CallOptions()
    ) async throws(RPCError) -> CallResult {
      switch self {
      case .asynchronous: return try await client.invoke(procedure, [], options: options)
      case .blocking:
        do {
          return try await BlockingTests.onThread { () throws(RPCError) in
            try client.invokeBlocking(procedure, [], options: options)
          }
        } catch {
          guard let error = error as? RPCError else { preconditionFailure("\(error)") }
          throw error
        }
      }
    }
  }

  // MARK: Calls in flight

  @Test("calls go out while others are unanswered, and answers may come in any order")
  func pipelining() async throws {
    let server = try FakeServer { peer in
      try peer.greet()
      var frames: [FakeServer.Frame] = []
      for _ in 0..<100 { frames.append(try peer.next(.call)) }
      for frame in frames.reversed() { peer.reply(frame, try frame.call.arguments[0]) }
      peer.waitForEnd()
    }
    let client = Self.client(server)
    try await withThrowingTaskGroup { group in
      for number in 0..<100 {
        group.addTask {
          let answer: Int = try await client.call("math.same", number)
          #expect(answer == number)
        }
      }
      try await group.waitForAll()
    }
    await client.close()
  }

  @Test("callbacks may start calls, ten thousand deep, without a stack that grows")
  func callbackChain() async throws {
    let server = try FakeServer { peer in
      try peer.greet()
      try peer.serve { $0[0] }
    }
    let client = Self.client(server)
    let procedure = try client.procedure("math.same", taking: Int.self, returning: Int.self)
    final class Chain: Sendable {
      let sum = Lock(0)
      let done = Latch()
      func next(_ number: Int, _ client: RPCClient, _ procedure: RemoteProcedure) {
        client.start(procedure, number) { (result: Result<Int, RPCError>) in
          guard case .success(let answer) = result, answer == number else { return self.done.signal() }
          self.sum.withLock { $0 += 1 }
          if number == 10_000 { self.done.signal() } else { self.next(number + 1, client, procedure) }
        }
      }
    }
    let chain = Chain()
    for _ in 0..<1 { chain.next(1, client, procedure) }
    chain.done.wait()
    #expect(chain.sum.withLock { $0 } == 10_000)
    client.closeBlocking()
  }

  @Test("more calls than the server takes at once wait for room, in order")
  func inFlightLimit() async throws {
    let most = Lock(0)
    let server = try FakeServer { peer in
      try peer.greet { $0.callsInFlight = 4 }
      while true {
        var frames = [try peer.next(.call)]
        // The client may have up to three more on the way, not four.
        for _ in 0..<3 { frames.append(try peer.next(.call)) }
        most.withLock { $0 = max($0, frames.count) }
        for frame in frames { peer.reply(frame, try frame.call.arguments[0]) }
      }
    }
    let client = Self.client(server)
    try await withThrowingTaskGroup { group in
      for number in 0..<40 {
        group.addTask {
          let answer: Int = try await client.call("math.same", number)
          #expect(answer == number)
        }
      }
      try await group.waitForAll()
    }
    #expect(most.withLock { $0 } == 4)
    await client.close()
  }

  @Test("a call larger than the server's frames fails with the sizes and is not sent; one just as large is")
  func frameLimit() async throws {
    let server = try FakeServer { peer in
      try peer.greet { $0.frameBytes = 1000 }
      try peer.serve { .int(Int64($0[0].bytesValue?.count ?? 0)) }
    }
    let client = Self.client(server)
    // 8 bytes of ids, 1 of the list, 3 of the bytes' header.
    let largest: Int = try await client.call("math.size", Bytes([UInt8](repeating: 1, count: 988)))
    #expect(largest == 988)
    do {
      let size: Int = try await client.call("math.size", Bytes([UInt8](repeating: 1, count: 989)))
      Issue.record("sent \(size)")
    } catch {
      #expect(error.exception == .resourceExhausted)
      #expect(error.actual == 1001)
      #expect(error.limit == 1000)
      #expect(error.executed == .no)
    }
    await client.close()
  }

  @Test("a reply beyond the client's limit ends the connection and says why")
  func replyLimit() async throws {
    let server = try FakeServer { peer in
      try peer.greet()
      try peer.serve { _ in .bytes([UInt8](repeating: 0, count: 2000)) }
    }
    var options = ClientOptions()
    options.frameBytes = 1000
    let client = Self.client(server, options: options)
    let error = await Self.error { () throws(RPCError) in try await client.invoke("math.x", []) }
    #expect(error?.exception == .protocolError)
    #expect(error?.executed == .maybe)
    #expect(error?.message.contains("larger than the limit of 1000 bytes") == true)
    await client.close()
  }

  // MARK: Cancellation and deadlines

  @Test("cancelling the task cancels the call on the server")
  func cancellation() async throws {
    let arrived = AsyncStream.makeStream(of: Void.self)
    let cancelled = AsyncStream.makeStream(of: Bool.self)
    let server = try FakeServer { peer in
      try peer.greet()
      let call = try peer.next(.call)
      arrived.continuation.yield()
      let cancel = try peer.next(.cancel)
      cancelled.continuation.yield(cancel.callID == call.callID)
      peer.fail(call, RPCError(.cancelled, "told to", executed: .maybe))
      try peer.serve { _ in "next" }
    }
    let client = Self.client(server)
    let task = Task { try await client.invoke("math.slow", []) }
    for await _ in arrived.stream { break }
    task.cancel()
    let result = await task.result
    guard case .failure(let error as RPCError) = result else {
      Issue.record("no error")
      return
    }
    #expect(error.exception == .cancelled)
    #expect(error.executed == .maybe)
    for await matches in cancelled.stream {
      #expect(matches)
      break
    }
    // The connection goes on.
    let next: String = try await client.call("math.fast")
    #expect(next == "next")
    await client.close()
  }

  @Test("a task that is cancelled already sends nothing")
  func cancelledBefore() async throws {
    let server = try FakeServer { peer in
      try peer.greet()
      try peer.serve { _ in "ran" }
    }
    let client = Self.client(server)
    let gate = AsyncStream.makeStream(of: Void.self)
    let task = Task {
      for await _ in gate.stream { break }
      let error = await Self.error { () throws(RPCError) in try await client.invoke("math.x", []) }
      #expect(error?.exception == .cancelled)
      #expect(error?.executed == .no)
    }
    task.cancel()
    await task.value
    await client.close()
  }

  @Test("the deadline goes with the call, ends it on time and cancels it on the server")
  func deadline() async throws {
    let timeouts = Lock<[UInt32]>([])
    let cancelled = AsyncStream.makeStream(of: Void.self)
    let server = try FakeServer { peer in
      try peer.greet()
      let call = try peer.next(.call)
      timeouts.withLock { $0.append((try? call.call.timeoutMicroseconds) ?? 0) }
      _ = try peer.next(.cancel)
      cancelled.continuation.yield()
      peer.waitForEnd()
    }
    let client = Self.client(server)
    let clock = ContinuousClock()
    let start = clock.now
    let error = await Self.error { () throws(RPCError) in
      try await client.invoke("math.slow", [], options: .deadline(.milliseconds(150)))
    }
    #expect(error?.exception == .deadlineExceeded)
    #expect(error?.executed == .maybe)
    #expect(error?.message == "no answer within 150 ms; it may have been executed")
    #expect(clock.now - start >= .milliseconds(149))
    for await _ in cancelled.stream { break }
    let timeout = timeouts.withLock { $0[0] }
    #expect(timeout > 50_000 && timeout <= 150_000)
    await client.close()
  }

  @Test("a deadline that has passed is not sent; none at all is sent as zero")
  func deadlineExtremes() async throws {
    let server = try FakeServer { peer in
      try peer.greet()
      while true {
        let call = try peer.next(.call)
        peer.reply(call, .int(Int64(try call.call.timeoutMicroseconds)))
      }
    }
    let client = Self.client(server)
    let none: Int = try await client.call("math.timeout")
    #expect(none == 0)
    let error = await Self.error { () throws(RPCError) in
      try await client.invoke("math.timeout", [], options: .deadline(.zero))
    }
    #expect(error?.exception == .deadlineExceeded)
    #expect(error?.executed == .no)
    // Longer than the field can say.
    let longest: Int = try await client.call("math.timeout", options: .deadline(.seconds(100_000)))
    #expect(longest == Int(UInt32.max))
    await client.close()
  }

  @Test("a server that accepts and says nothing is given up after the connect timeout")
  func silentServer() async throws {
    let server = try FakeServer { peer in peer.waitForEnd() }
    var options = ClientOptions()
    options.connectTimeout = .milliseconds(100)
    let client = Self.client(server, options: options)
    let error = await Self.error { () throws(RPCError) in
      try await client.invoke("math.x", [], options: CallOptions(deadline: nil, retry: .none))
    }
    #expect(error?.exception == .unavailable)
    #expect(error?.executed == .no)
    #expect(
      error?.message == "nothing came within 100 ms of connecting: server 's1' (127.0.0.1:\(server.port))")
    await client.close()
  }

  @Test("a server that falls silent is asked for a sign of life and given up without one")
  func liveness() async throws {
    let server = try FakeServer { peer in
      try peer.greet { $0.pingMilliseconds = 30 }
      let call = try peer.next(.call)
      // Neither an answer nor a PONG.
      while try peer.readFrame().kind != .ping {}
      _ = call
      peer.waitForEnd()
    }
    var options = ClientOptions()
    options.pingTimeout = .milliseconds(50)
    let client = Self.client(server, options: options)
    let error = await Self.error { () throws(RPCError) in try await client.invoke("math.x", []) }
    #expect(error?.exception == .unavailable)
    #expect(error?.executed == .maybe)
    #expect(error?.message.contains("has stopped answering: no PONG within 50 ms") == true)
    await client.close()
  }

  @Test("a server that answers pings is not given up, however long a call takes")
  func longCall() async throws {
    let server = try FakeServer { peer in
      try peer.greet { $0.pingMilliseconds = 5 }
      let call = try peer.next(.call)
      for _ in 0..<5 {
        let ping = try peer.next(.call, .cancel, .pong, .hello, .bind, .ping)
        peer.send { $0.appendEmptyFrame(.pong, callID: ping.callID) }
      }
      peer.reply(call, "done")
      try peer.serve { _ in nil }
    }
    var options = ClientOptions()
    options.pingTimeout = .seconds(20)
    let client = Self.client(server, options: options)
    let result: String = try await client.call("math.long")
    #expect(result == "done")
    #expect(try await client.ping("s1") > .zero)
    await client.close()
  }
}
