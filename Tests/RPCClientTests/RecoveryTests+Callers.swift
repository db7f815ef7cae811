import RPCNetwork
import RPCSystem
import RPCTransport
import RPCWire
import Testing

@testable import RPCClient

/// Who is called, and who calls.
extension RecoveryTests {
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
    let (client, error) = try await LifecycleTests.closing { client in
      await LifecycleTests.error { () throws(RPCError) in try await client.invoke("math.x", []) }
    }
    #expect(error?.exception == .cancelled)
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
