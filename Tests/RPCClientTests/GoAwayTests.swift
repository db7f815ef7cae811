import RPCSystem
import RPCTransport
import RPCWire
import Testing

@testable import RPCClient

@Suite("A server that goes away")
struct GoAwayTests {
  /// The three that are dropped by a GOAWAY, and in which order their errors and the answer come.
  enum Order: CaseIterable {
    case errorsFirst, answerFirst, errorsBeforeGoAway
  }

  private static let refusal = RPCError(.unavailable, "the server is shutting down", executed: .no)

  @Test(
    "calls that it took are answered, those it refuses go to another provider, in whatever order it says so",
    arguments: Order.allCases)
  func refusedAfterGoAway(order: Order) async throws {
    let arrived = AsyncStream.makeStream(of: Void.self)
    let mayLeave = Latch()
    let leaving = try FakeServer { peer in
      try peer.greet()
      var calls: [FakeServer.Frame] = []
      for _ in 0..<4 {
        calls.append(try peer.next(.call))
        arrived.continuation.yield()
      }
      mayLeave.wait()
      let goAway = GoAway(lastCallID: calls[0].callID, reason: "drain", drainMilliseconds: 1000)
      if order == .errorsBeforeGoAway { for call in calls.dropFirst() { peer.fail(call, Self.refusal) } }
      peer.send { goAway.encode(to: &$0) }
      if order == .answerFirst { peer.reply(calls[0], "old") }
      if order != .errorsBeforeGoAway { for call in calls.dropFirst() { peer.fail(call, Self.refusal) } }
      if order != .answerFirst { peer.reply(calls[0], "old") }
      peer.waitForEnd()
    }
    let staying = try FakeServer { peer in
      try peer.greet()
      try peer.serve { _ in "new" }
    }
    var topology = RecoveryTests.leaving(leaving, for: staying)
    let client = RPCClient(topology: topology)
    var arrivals = arrived.stream.makeAsyncIterator()
    var calls: [Task<CallResult, any Error>] = []
    for _ in 0..<4 {
      calls.append(Task { try await client.invoke("math.x", [], options: RecoveryTests.once) })
      _ = await arrivals.next()
    }
    topology.services[0].providers = ["old", "new"]
    client.updateTopology(topology)
    // The loop takes the new topology over in its own time; the answer shows that it has.
    _ = try await client.ping("new")
    mayLeave.signal()
    var results: [Value] = []
    for call in calls { results += try await call.value.values }
    #expect(results == ["old", "new", "new", "new"])
    await client.close()
  }

  @Test("a second GOAWAY with a smaller id moves the calls between the two")
  func secondGoAway() async throws {
    let server = try FakeServer { peer in
      try peer.greet()
      let first = try peer.next(.call)
      if peer.number > 1 { return peer.reply(first, "moved") }
      let second = try peer.next(.call)
      for call in [second, first] {
        peer.send { GoAway(lastCallID: call.callID, reason: "", drainMilliseconds: 0).encode(to: &$0) }
      }
      peer.reply(first, "answered")
      peer.waitForEnd()
    }
    let client = RecoveryTests.client(server)
    async let one = client.invoke("math.x", [1])
    async let two = client.invoke("math.x", [1])
    let values = try await [one, two].map { $0.values[0].stringValue ?? "" }
    #expect(values.sorted() == ["answered", "moved"])
    await client.close()
  }

  @Test("a connection that is refused is not an attempt while another provider is there")
  func deadProviderWithoutRetries() async throws {
    let dead = try LifecycleTests.deadPort()
    let server = try FakeServer { peer in
      try peer.greet()
      try peer.serve { _ in "up" }
    }
    let client = LifecycleTests.client(ports: [dead, server.port])
    for _ in 0..<10 {
      #expect(try await client.invoke("math.x", [], options: RecoveryTests.once).server == "s2")
      let blocking = try await BlockingTests.onThread { () throws(RPCError) in
        try client.invokeBlocking("math.x", [], options: RecoveryTests.once)
      }
      #expect(blocking.server == "s2")
    }
    await client.close()
  }

  // MARK: Blocking

  @Test("blocking: an answer behind the GOAWAY is delivered, and the next call goes elsewhere")
  func blockingAnswer() async throws {
    let isLeaving = Lock(false)
    let leaving = try FakeServer { peer in
      // One that has gone takes no connection any more.
      if isLeaving.withLock({ $0 }) { return }
      try peer.greet()
      let call = try peer.next(.call)
      isLeaving.withLock { $0 = true }
      peer.send { GoAway(lastCallID: call.callID, reason: "", drainMilliseconds: 1000).encode(to: &$0) }
      peer.reply(call, "old")
      peer.waitForEnd()
    }
    let staying = try FakeServer { peer in
      try peer.greet()
      try peer.serve { _ in "new" }
    }
    let client = RecoveryTests.client(leaving, staying)
    let answers = try await BlockingTests.onThread { () throws(RPCError) in
      var answers: [Value] = []
      for _ in 0..<6 {
        answers += try client.invokeBlocking("math.x", [], options: RecoveryTests.once).values
      }
      return answers
    }
    #expect(answers.filter { $0 == "old" }.count == 1)
    #expect(answers.filter { $0 == "new" }.count == 5)
    await client.close()
  }

  @Test("blocking: a call that is refused moves to another provider", arguments: [true, false])
  func blockingRefusal(isAbove: Bool) async throws {
    let leaving = try FakeServer { peer in
      try peer.greet()
      let call = try peer.next(.call)
      let last = isAbove ? call.callID - 1 : call.callID
      peer.send { GoAway(lastCallID: last, reason: "", drainMilliseconds: 1000).encode(to: &$0) }
      peer.fail(call, Self.refusal)
      peer.waitForEnd()
    }
    let staying = try FakeServer { peer in
      try peer.greet()
      try peer.serve { _ in "new" }
    }
    let client = RecoveryTests.client(leaving, staying)
    for _ in 0..<4 {
      let result = try await BlockingTests.onThread { () throws(RPCError) in
        try client.invokeBlocking("math.x", [], options: RecoveryTests.once)
      }
      #expect(result.values == ["new"])
    }
    await client.close()
  }
}
