import RPCClient
import RPCSystem
import RPCWire
import Testing

@Suite("Calls")
struct CallTests {
  /// A client of one server `s1`, which provides the service `math`.
  static func client(
    _ servers: FakeServer..., options: ClientOptions = ClientOptions()
  ) -> RPCClient {
    let names = servers.indices.map { "s\($0 + 1)" }
    let topology = Topology(
      servers: zip(names, servers).map { .init(name: $0, host: "127.0.0.1", port: $1.port) },
      services: [.init(name: "math", providers: names, tenants: [])])
    return RPCClient(topology: topology, options: options)
  }

  static func add(_ arguments: [Value]) -> Value {
    .int(arguments.reduce(0) { $0 + ($1.intValue ?? 0) })
  }

  @Test("a typed call returns its result as the type that the caller writes")
  func typed() async throws {
    let server = try FakeServer { peer in
      try peer.greet()
      try peer.serve(Self.add)
    }
    let client = Self.client(server)
    let sum: Int = try await client.call("math.add", 1, 2)
    #expect(sum == 3)
    let again: Double = try await client.call("math.add", 40, 2, on: "s1")
    #expect(again == 42)
    #expect(try client.callBlocking("math.add", 1, 2, 3) == 6)
    await client.close()
  }

  @Test("a procedure is bound once, with the caller's types, and values go and come unchanged")
  func binds() async throws {
    let binds = Lock<[Bind]>([])
    let server = try FakeServer { peer in
      #expect(try peer.greet().identity == nil)
      while true {
        let frame = try peer.next(.bind, .call)
        if frame.kind == .bind {
          let bind = try frame.bind
          binds.withLock { $0.append(bind) }
          try peer.bound(frame)
        } else {
          peer.reply(frame, .list(try frame.call.arguments), "second")
        }
      }
    }
    let client = Self.client(server)
    for _ in 0..<3 {
      let result = try await client.invoke("math.echo", [1, "two", [3.5, nil], .bytes([0])])
      #expect(result.values == [[1, "two", [3.5, nil], .bytes([0])], "second"])
      #expect(result.server == "s1")
      #expect(result.attempts == 1)
    }
    let (echo, text): (Value, String) = try await client.call("math.echo", 1, "x")
    #expect(echo == [1, "x"])
    #expect(text == "second")
    #expect(
      binds.withLock { $0 } == [
        Bind(
          service: "math", procedure: "echo",
          arguments: [.int, .string, .list(.optional(.float)), .bytes]),
        Bind(service: "math", procedure: "echo", arguments: [.int, .string], returns: [.any, .string]),
      ])
    await client.close()
  }
}
