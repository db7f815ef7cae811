import RPCSystem
import RPCTransport
import RPCWire
import Testing

@testable import RPCClient

@Suite("Servers that go, come back and change")
struct RecoveryTests {
  static func client(_ servers: FakeServer..., options: ClientOptions = ClientOptions()) -> RPCClient {
    LifecycleTests.client(ports: servers.map(\.port), options: options)
  }

  /// Returns when the client is connected to every server.
  static func connectAll(_ client: RPCClient) async {
    var waited = Set(client.topology.servers.map(\.name))
    let events = client.events()
    client.connectAll()
    for await event in events where !waited.isEmpty {
      if case .connected(let server, _) = event, waited.remove(server) != nil, waited.isEmpty { return }
    }
  }

  /// Two servers, the first of which provides all there is, for now.
  static func leaving(_ old: FakeServer, for new: FakeServer) -> Topology {
    Topology(
      servers: [
        .init(name: "old", host: "127.0.0.1", port: old.port),
        .init(name: "new", host: "127.0.0.1", port: new.port),
      ], services: [.init(name: "math", providers: ["old"], tenants: [])])
  }

  static let once = CallOptions(deadline: nil, retry: .none)

  typealias Way = LifecycleTests.Way

  @Test(
    "nobody listens: unavailable, not executed, and the message names server and address",
    arguments: Way.allCases)
  func refused(way: Way) async throws {
    let port = try LifecycleTests.deadPort()
    let client = LifecycleTests.client(ports: [port])
    let error = await LifecycleTests.error { () throws(RPCError) in try await way.invoke(client) }
    #expect(error?.exception == .unavailable)
    #expect(error?.executed == .no)
    #expect(error?.message == "connection refused: server 's1' (127.0.0.1:\(port))")
    // A thread that calls alone has a socket of its own, which says nothing of the client's connection.
    if way == .asynchronous {
      guard case .down = client.state(of: "s1") else {
        Issue.record("\(client.state(of: "s1"))")
        return
      }
    }
    await client.close()
  }

  @Test(
    "a server that dies during a call: it may have been executed, so it is not repeated",
    arguments: Way.allCases)
  func diesDuringCall(way: Way) async throws {
    let connections = Lock(0)
    let server = try FakeServer { peer in
      connections.withLock { $0 += 1 }
      try peer.greet()
      _ = try peer.next(.call)
      peer.reset()
    }
    let client = Self.client(server)
    let error = await LifecycleTests.error { () throws(RPCError) in try await way.invoke(client) }
    #expect(error?.exception == .unavailable)
    #expect(error?.executed == .maybe)
    #expect(error?.message == "connection reset by peer: server 's1' (127.0.0.1:\(server.port))")
    #expect(connections.withLock { $0 } == 1)
    await client.close()
  }

  @Test(
    "an idempotent procedure is repeated where the caller allows it, and only there",
    arguments: [true, false], Way.allCases)
  func idempotent(isAllowed: Bool, way: Way) async throws {
    let server = try FakeServer { peer in
      try peer.greet()
      let call = try peer.next(.call, bindingIdempotent: true)
      if peer.number == 1 {
        #expect(!call.header.flags.contains(.retry))
        return peer.reset()
      }
      #expect(call.header.flags.contains(.retry))
      peer.reply(call, "second time")
      peer.waitForEnd()
    }
    let client = Self.client(server)
    let options = CallOptions(deadline: nil, retry: RetryPolicy(attempts: 2, repeatsIdempotent: isAllowed))
    do {
      let result = try await way.invoke(client, options: options)
      #expect(isAllowed)
      #expect(result.values == ["second time"])
      #expect(result.attempts == 2)
    } catch {
      #expect(!isAllowed, "\(error)")
      #expect(error.executed == .maybe)
    }
    await client.close()
  }

  @Test("after a lost connection the next call connects again")
  func reconnects() async throws {
    let server = try FakeServer { peer in
      try peer.greet()
      peer.reply(try peer.next(.call), .int(Int64(peer.number)))
    }
    let client = Self.client(server)
    let events = client.events()
    let first: Int = try await client.call("math.x")
    #expect(first == 1)
    // The script has ended, and the connection with it.
    for await event in events {
      if case .disconnected = event { break }
    }
    let second: Int = try await client.call("math.x")
    #expect(second == 2)
    await client.close()
  }

  @Test("a call that waits for its server is answered when the server comes")
  func waitForReady() async throws {
    let port = try LifecycleTests.deadPort()
    let client = LifecycleTests.client(ports: [port])
    let events = client.events()
    let call = Task {
      try await client.invoke("math.x", [], options: CallOptions(deadline: .seconds(20), waitForReady: true))
    }
    for await event in events {
      if case .disconnected = event { break }
    }
    let server = try FakeServer(port: port) { peer in
      try peer.greet()
      try peer.serve { _ in "at last" }
    }
    #expect(try await call.value.values == ["at last"])
    await client.close()
    server.stop()
  }

  @Test("GOAWAY moves calls that did not begin to another provider; those that did are answered")
  func goAway() async throws {
    let arrived = AsyncStream.makeStream(of: Void.self)
    let mayLeave = Latch()
    let leaving = try FakeServer { peer in
      try peer.greet()
      let first = try peer.next(.call)
      arrived.continuation.yield()
      let second = try peer.next(.call)
      arrived.continuation.yield()
      mayLeave.wait()
      peer.send { GoAway(lastCallID: first.callID, reason: "drain", drainMilliseconds: 1000).encode(to: &$0) }
      peer.reply(first, "from the old")
      #expect(second.callID > first.callID)
      peer.waitForEnd()
    }
    let staying = try FakeServer { peer in
      try peer.greet()
      try peer.serve { _ in "from the new" }
    }
    var topology = Self.leaving(leaving, for: staying)
    let client = RPCClient(topology: topology)
    var arrivals = arrived.stream.makeAsyncIterator()
    let first = Task { try await client.invoke("math.x", [1], options: Self.once) }
    _ = await arrivals.next()
    let second = Task { try await client.invoke("math.x", [1], options: Self.once) }
    _ = await arrivals.next()
    topology.services[0].providers = ["old", "new"]
    client.updateTopology(topology)
    mayLeave.signal()
    let results = try await [first.value, second.value]
    #expect(results[0].values == ["from the old"])
    #expect(results[1].values == ["from the new"])
    #expect(results.map(\.attempts) == [1, 1])
    await client.close()
  }

  @Test("a server that refuses a call while it drains is left for another without the caller's noticing")
  func drainingRefusal() async throws {
    let draining = try FakeServer { peer in
      try peer.greet()
      while true {
        let call = try peer.next(.call)
        peer.fail(call, RPCError(.unavailable, "shutting down", executed: .no))
      }
    }
    let other = try FakeServer { peer in
      try peer.greet()
      try peer.serve { _ in "here" }
    }
    let client = Self.client(draining, other)
    for _ in 0..<4 {
      let result: String = try await client.call("math.x")
      #expect(result == "here")
    }
    await client.close()
  }

  @Test("a dead provider costs its callers nothing while another is up")
  func deadProvider() async throws {
    let port = try LifecycleTests.deadPort()
    let server = try FakeServer { peer in
      try peer.greet()
      try peer.serve { _ in "up" }
    }
    let client = LifecycleTests.client(ports: [port, server.port])
    for _ in 0..<10 {
      let result = try await client.invoke("math.x", [])
      #expect(result.server == "s2")
    }
    await client.close()
  }

  @Test(
    "calls spread evenly over the providers",
    arguments: [ClientOptions.Balancing.roundRobin, .leastOutstanding])
  func spreads(balancing: ClientOptions.Balancing) async throws {
    let server = try FakeServer { peer in
      try peer.greet()
      try peer.serve { _ in 1 }
    }
    let other = try FakeServer { peer in
      try peer.greet()
      try peer.serve { _ in 2 }
    }
    var options = ClientOptions()
    options.balancing = balancing
    let client = Self.client(server, other, options: options)
    await Self.connectAll(client)
    var counts: [String: Int] = [:]
    for _ in 0..<10 { counts[try await client.invoke("math.x", []).server, default: 0] += 1 }
    #expect(counts == ["s1": 5, "s2": 5])
    await client.close()
  }

  @Test("a new generation is told and procedures are bound again")
  func generation() async throws {
    let binds = Lock(0)
    let server = try FakeServer { peer in
      try peer.greet()
      while true {
        let frame = try peer.next(.bind, .call)
        if frame.kind == .bind {
          binds.withLock { $0 += 1 }
          try peer.bound(frame)
        } else {
          peer.reply(frame, "old")
          peer.send { $0.appendEmptyFrame(.generation, callID: 2) }
        }
      }
    }
    let client = Self.client(server)
    let events = client.events()
    _ = try await client.invoke("math.x", [])
    for await event in events {
      if event == .generation(server: "s1", serial: 2) { break }
    }
    guard case .up(generation: 2, roundTrip: .some) = client.state(of: "s1") else {
      Issue.record("\(client.state(of: "s1"))")
      return
    }
    _ = try await client.invoke("math.x", [])
    #expect(binds.withLock { $0 } == 2)
    await client.close()
  }

  @Test("a stale id is bound again once, transparently")
  func staleBinding() async throws {
    let server = try FakeServer { peer in
      try peer.greet()
      try peer.bound(try peer.next(.bind), id: 1)
      let stale = try peer.next(.call)
      #expect(try stale.call.procedureID == 1)
      peer.fail(stale, RPCError(.staleBinding, "bind again", executed: .no))
      try peer.bound(try peer.next(.bind), id: 2)
      let call = try peer.next(.call)
      #expect(try call.call.procedureID == 2)
      peer.reply(call, .list(try call.call.arguments))
      peer.waitForEnd()
    }
    let client = Self.client(server)
    let result = try await client.invoke("math.x", [1, "two"], options: Self.once)
    #expect(result.values == [[1, "two"]])
    #expect(result.attempts == 1)
    await client.close()
  }

  @Test("a server that calls every id stale does not keep the client for ever")
  func alwaysStale() async throws {
    let calls = Lock(0)
    let server = try FakeServer { peer in
      try peer.greet()
      while true {
        let call = try peer.next(.call)
        calls.withLock { $0 += 1 }
        peer.fail(call, RPCError(.staleBinding, "bind again", executed: .no))
      }
    }
    let client = Self.client(server)
    let error = await LifecycleTests.error { () throws(RPCError) in
      try await client.invoke("math.x", [], options: Self.once)
    }
    #expect(error?.exception == .unavailable)
    #expect(calls.withLock { $0 } == ClientLimits.rebindsMax + 1)
    await client.close()
  }
}
