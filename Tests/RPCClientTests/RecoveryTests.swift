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

  static let once = CallOptions(deadline: nil, retry: .none)

  @Test("nobody listens: unavailable, not executed, and the message names server and address")
  func refused() async throws {
    let port = try LifecycleTests.deadPort()
    let client = LifecycleTests.client(ports: [port])
    let error = await LifecycleTests.error { () throws(RPCError) in try await client.invoke("math.x", []) }
    #expect(error?.exception == .unavailable)
    #expect(error?.executed == .no)
    #expect(error?.message == "connection refused: server 's1' (127.0.0.1:\(port))")
    guard case .down = client.state(of: "s1") else {
      Issue.record("\(client.state(of: "s1"))")
      return
    }
    await client.close()
  }

  @Test("a server that dies during a call: it may have been executed, so it is not repeated")
  func diesDuringCall() async throws {
    let connections = Lock(0)
    let server = try FakeServer { peer in
      connections.withLock { $0 += 1 }
      try peer.greet()
      _ = try peer.next(.call)
      peer.reset()
    }
    let client = Self.client(server)
    let error = await LifecycleTests.error { () throws(RPCError) in try await client.invoke("math.x", []) }
    #expect(error?.exception == .unavailable)
    #expect(error?.executed == .maybe)
    #expect(error?.message == "connection reset by peer: server 's1' (127.0.0.1:\(server.port))")
    #expect(connections.withLock { $0 } == 1)
    await client.close()
  }

  @Test(
    "an idempotent procedure is repeated where the caller allows it, and only there",
    arguments: [true, false])
  func idempotent(isAllowed: Bool) async throws {
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
      let result = try await client.invoke("math.x", [], options: options)
      #expect(isAllowed)
      #expect(result.values == ["second time"])
      #expect(result.attempts == 2)
    } catch {
      #expect(!isAllowed, "\(error)")
      #expect(error.executed == .maybe)
    }
    await client.close()
  }

  @Test("after a lost connection the next call connects anew")
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
    var topology = Topology(
      servers: [
        .init(name: "old", host: "127.0.0.1", port: leaving.port),
        .init(name: "new", host: "127.0.0.1", port: staying.port),
      ], services: [.init(name: "math", providers: ["old"], tenants: [])])
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

  @Test("an error of the whole connection reaches every call, by its own name")
  func connectionError() async throws {
    let server = try FakeServer { peer in
      guard try peer.read(8) == Preface.bytes else { return }
      _ = try peer.readFrame()
      peer.send { RPCError(.unauthenticated, "'c1' calls from another address").encode(to: &$0, callID: 0) }
      peer.waitForEnd()
    }
    let client = Self.client(server)
    let error = await LifecycleTests.error { () throws(RPCError) in try await client.invoke("math.x", []) }
    #expect(error?.exception == .unauthenticated)
    #expect(error?.executed == .no)
    #expect(error?.message == "server 's1' (127.0.0.1:\(server.port)): 'c1' calls from another address")
    await client.close()
  }

  @Test("an exception of a BIND or a CALL is told as the server tells it, and not tried again")
  func exceptions() async throws {
    let calls = Lock(0)
    let raised = RPCError(.executionException, "no such row", executed: .yes, source: "rows.py:3")
    let server = try FakeServer { peer in
      try peer.greet()
      while true {
        let frame = try peer.next(.bind, .call)
        if frame.kind == .call {
          calls.withLock { $0 += 1 }
          peer.fail(frame, raised)
        } else if try frame.bind.procedure == "missing" {
          peer.fail(frame, RPCError(.rpcNotFound, "no 'missing'"))
        } else {
          try peer.bound(frame)
        }
      }
    }
    let client = Self.client(server)
    #expect(
      await LifecycleTests.error { () throws(RPCError) in try await client.invoke("math.x", []) }
        == raised.from("s1"))
    #expect(
      await LifecycleTests.error { () throws(RPCError) in try await client.invoke("math.missing", []) }
        == RPCError(.rpcNotFound, "no 'missing'").from("s1"))
    #expect(calls.withLock { $0 } == 1)
    await client.close()
  }

  /// What a server sends instead of a HELLO, and what callers are told.
  static let garbage: [(String, [UInt8], String)] = [
    (
      "HTTP", Array("HTTP/1.1 400 Bad Request\r\n\r\n".utf8),
      "is not an rpc-server: an HTTP server answered; check its address and port"
    ),
    (
      "SSH", Array("SSH-2.0-x\r\n".utf8),
      "is not an rpc-server: an SSH server answered; check its address and port"
    ),
    (
      "TLS", [0x15, 3, 3, 0, 2, 2, 40],
      "is not an rpc-server: a TLS server answered; check its address and port"
    ),
    (
      "a line of JSON",
      Array(#"{"header":"RPC-EX","value":{"exception-type":"ProtocolError","exception-message":"no"}}"#.utf8),
      "is not an rpc-server: it answered with a line of JSON: no; check its address and port"
    ),
    (
      "text", Array("220 mail.example.org ESMTP\r\n".utf8),
      "is not an rpc-server: it answered \"220 mail.example.org ESMTP\"; check its address and port"
    ),
    (
      "a reply before the HELLO", [0, 0, 0, 0, 5, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0],
      "does not speak this protocol: a REPLY came before the HELLO"
    ),
    (
      "a HELLO that is no map", [1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x90],
      "does not speak this protocol: a HELLO is a map"
    ),
    (
      "an unknown kind", [0, 0, 0, 0, 99, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
      "does not speak this protocol: frame kind 99 is unknown"
    ),
    (
      "a frame that is too long", [255, 255, 255, 255, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
      "does not speak this protocol: a frame of 4294967295 bytes is larger than the limit of 16777216 bytes"
    ),
  ]

  @Test("a server that speaks something else is a protocol error, never a crash", arguments: garbage.indices)
  func speaksGarbage(index: Int) async throws {
    let bytes = Self.garbage[index].1
    let server = try FakeServer { peer in
      peer.send { $0.append(bytes) }
      peer.waitForEnd()
    }
    let client = Self.client(server)
    let error = await LifecycleTests.error { () throws(RPCError) in try await client.invoke("math.x", []) }
    #expect(error?.exception == .protocolError)
    #expect(error?.executed == .no)
    #expect(error?.message == "server 's1' (127.0.0.1:\(server.port)) \(Self.garbage[index].2)")
    let blocking = await BlockingTests.error { () throws(RPCError) in try client.invokeBlocking("math.x", [])
    }
    #expect(blocking == error)
    await client.close()
  }

  // MARK: Who is called, and who calls

  @Test("a client with a registered port calls from there, again and again")
  func registeredPort() async throws {
    let source = try LifecycleTests.deadPort()
    let server = try FakeServer { peer in
      let hello = try peer.greet()
      let port = Int64(peer.address?.port ?? 0)
      let name = hello.identity ?? ""
      try peer.serve { _ in [.int(port), .string(name)] }
    }
    for _ in 0..<3 {
      let client = LifecycleTests.client(
        ports: [server.port], identity: .init(name: "c1", host: "127.0.0.1", port: source))
      let result = try await client.invoke("math.x", [])
      #expect(result.values == [[.int(Int64(source)), "c1"]])
      #expect(try client.callBlocking("math.x") as Value == [.int(Int64(source)), "c1"])
      await client.close()
    }
  }

  @Test("a registered address that this machine does not have is told as such")
  func foreignAddress() async throws {
    let server = try FakeServer { _ in }
    let client = LifecycleTests.client(
      ports: [server.port], identity: .init(name: "c1", host: "192.0.2.1", port: nil))
    let error = await LifecycleTests.error { () throws(RPCError) in
      try await client.invoke("math.x", [], options: Self.once)
    }
    #expect(error?.exception == .unavailable)
    #expect(
      error?.message.contains("'c1' is registered with an address that this machine does not have") == true)
    await client.close()
  }

  @Test("names that are not there are told with those that are")
  func unknownNames() async throws {
    let client = LifecycleTests.client(ports: [1])
    let noServer = await LifecycleTests.error { () throws(RPCError) in
      try await client.invoke("math.x", [], on: "s9")
    }
    #expect(noServer == RPCError(.serviceNotFound, "there is no server 's9'; there are: s1"))
    let noService = await LifecycleTests.error { () throws(RPCError) in try await client.invoke("maths.x", [])
    }
    #expect(
      noService == RPCError(.serviceNotFound, "no server provides the service 'maths'; there are: math"))
    let noName = await LifecycleTests.error { () throws(RPCError) in try await client.invoke("math", []) }
    #expect(noName?.exception == .invalidArguments)
    await client.close()
  }

  @Test("a server that moves is called at its new address")
  func moves() async throws {
    let old = try FakeServer { peer in
      try peer.greet()
      try peer.serve { _ in "old" }
    }
    let new = try FakeServer { peer in
      try peer.greet()
      try peer.serve { _ in "new" }
    }
    let client = Self.client(old)
    #expect(try await client.call("math.x") as String == "old")
    client.updateTopology(
      Topology(
        servers: [.init(name: "s1", host: "127.0.0.1", port: new.port)],
        services: [.init(name: "math", providers: ["s1"], tenants: [])]))
    #expect(try await client.call("math.x") as String == "new")
    client.updateTopology(Topology(servers: []))
    let gone = await LifecycleTests.error { () throws(RPCError) in try await client.invoke("math.x", []) }
    #expect(gone?.exception == .serviceNotFound)
    await client.close()
  }

  @Test("closing the client ends its calls, and later ones fail at once")
  func close() async throws {
    let arrived = AsyncStream.makeStream(of: Void.self)
    let server = try FakeServer { peer in
      try peer.greet()
      _ = try peer.next(.call)
      arrived.continuation.yield()
      peer.waitForEnd()
    }
    let client = Self.client(server)
    let call = Task {
      await LifecycleTests.error { () throws(RPCError) in try await client.invoke("math.x", []) }
    }
    for await _ in arrived.stream { break }
    await client.close()
    let error = await call.value
    #expect(error?.exception == .cancelled)
    #expect(error?.executed == .maybe)
    let late = await LifecycleTests.error { () throws(RPCError) in try await client.invoke("math.x", []) }
    #expect(late?.message == "the client was closed")
    await client.close()
    client.closeBlocking()
  }

  @Test("metadata travels with the call")
  func metadata() async throws {
    let server = try FakeServer { peer in
      try peer.greet()
      while true {
        let frame = try peer.next(.call)
        peer.reply(frame, try frame.call.metadata ?? "none")
      }
    }
    let client = Self.client(server)
    #expect(try await client.call("math.x") as String == "none")
    let options = CallOptions(deadline: nil, metadata: ["tenant": "blue"])
    #expect(try await client.call("math.x", options: options) as [String: String] == ["tenant": "blue"])
    await client.close()
  }

  @Test("results that are not what the caller takes are an error that says what came", arguments: [0, 1, 2])
  func wrongResults(number: Int) async throws {
    let server = try FakeServer { peer in
      try peer.greet()
      while true { peer.reply(try peer.next(.call), "text") }
    }
    let client = Self.client(server)
    do throws(RPCError) {
      switch number {
      case 0: _ = try await client.call("math.x") as Int
      case 1: _ = try await client.call("math.x") as (String, Int)
      default: try await client.call("math.x") as Void
      }
      #expect(number == 2, "a caller that takes nothing takes anything")
    } catch {
      #expect(error.exception == .protocolError)
      #expect(error.executed == .yes)
      #expect(
        error.message == "the result of math.x from server 's1' cannot be read: "
          + (number == 0 ? "expected int, found str" : "it has 1 value, the caller takes 2"))
    }
    await client.close()
  }
}
