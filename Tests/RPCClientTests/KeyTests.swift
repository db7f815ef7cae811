import RPCKeys
import RPCServer
import RPCWire
import Synchronization
import TestSupport
import Testing

@testable import RPCClient

@Suite("Keys, as a client proves them")
struct KeyTests {
  private static let seed = [UInt8](repeating: 5, count: 32)

  private static func options() throws -> ClientOptions {
    var options = ClientOptions()
    options.key = try PrivateKey(seed: seed)
    return options
  }

  /// A server to which the owner of the key alone may deploy, and the folder of its files.
  private static func server() throws -> (Server, TemporaryDirectory) {
    let directory = TemporaryDirectory()
    try directory.write("\(PrivateKey(seed: seed).publicKey)\n", to: "deployers")
    var options = ServerOptions()
    options.loops = 1
    options.dataDirectory = "\(directory.path)/data"
    options.deployersFile = "\(directory.path)/deployers"
    let server = try Server(
      host: "127.0.0.1", port: 0,
      procedures: [NativeProcedure("math.add") { (a: Int, b: Int) -> Int in a &+ b }], options: options)
    try server.start()
    return (server, directory)
  }

  private static func client(_ server: Server, _ options: ClientOptions) -> RPCClient {
    RPCClient(
      topology: Topology(
        servers: [.init(name: "s1", host: "127.0.0.1", port: UInt16(server.port))],
        services: [.init(name: "math", providers: ["s1"], tenants: [])]), options: options)
  }

  @Test("calls wait until the key is proven, and then are those of its owner")
  func proven() async throws {
    let (server, directory) = try Self.server()
    defer { server.stopNow() }
    let client = try Self.client(server, Self.options())
    // All of them before the connection stands.
    try await withThrowingTaskGroup(of: Void.self) { group in
      for number in 0..<100 {
        group.addTask {
          let sum: Int = try await client.call("math.add", number, 1)
          #expect(sum == number + 1)
          _ = try await client.invoke("system.deploy_status", [], on: "s1")
        }
      }
      try await group.waitForAll()
    }
    await client.close()
    withExtendedLifetime(directory) {}
  }

  @Test("a blocking caller's own connection proves it too")
  func blocking() async throws {
    let (server, directory) = try Self.server()
    defer { server.stopNow() }
    let client = try Self.client(server, Self.options())
    let result = try await BlockingTests.onThread { () throws(RPCError) -> CallResult in
      try client.invokeBlocking("system.deploy_status", [], on: "s1")
    }
    #expect(result.server == "s1")
    await client.close()
    withExtendedLifetime(directory) {}
  }

  @Test("without the key the same call is refused")
  func unproven() async throws {
    let (server, directory) = try Self.server()
    defer { server.stopNow() }
    let client = Self.client(server, ClientOptions())
    let error = await #expect(throws: RPCError.self) {
      try await client.invoke("system.deploy_status", [], on: "s1")
    }
    #expect(error?.exception == .unauthenticated)
    await client.close()
    withExtendedLifetime(directory) {}
  }

  /// A server that proves this key, or pretends to, and then serves sums.
  private static func serving(_ prove: @escaping @Sendable (inout Hello, Hello) -> Void) throws -> FakeServer
  {
    try FakeServer { peer in
      try peer.greet(prove)
      try peer.serve { .int(($0.first?.intValue ?? 0) + ($0.last?.intValue ?? 0)) }
    }
  }

  private static func client(
    _ port: UInt16, pinning key: PublicKey?, _ options: ClientOptions = ClientOptions()
  ) -> RPCClient {
    var options = options
    options.connectTimeout = .seconds(20)
    return RPCClient(
      topology: Topology(
        servers: [.init(name: "s1", host: "127.0.0.1", port: port, key: key)],
        services: [.init(name: "math", providers: ["s1"], tenants: [])]), options: options)
  }

  /// What both kinds of call get.
  private static func errors(_ client: RPCClient) async -> [RPCError?] {
    let error = await #expect(throws: RPCError.self) { try await client.invoke("math.add", [1, 2]) }
    let blocking = await BlockingTests.error { () throws(RPCError) -> CallResult in
      try client.invokeBlocking("math.add", [1, 2])
    }
    await client.close()
    return [error, blocking]
  }

  @Test("a pinned server that proves its key is served, whether the client has one or not")
  func pinned() async throws {
    let key = PrivateKey.random()
    let server = try Self.serving { hello, client in
      #expect(client.features.isEmpty)
      hello.serverProof = ServerProof(of: key, to: client.nonce ?? [])
    }
    let client = Self.client(server.port, pinning: key.publicKey)
    #expect(try await client.invoke("math.add", [1, 2]).values == [3])
    let blocking = try await BlockingTests.onThread { () throws(RPCError) -> CallResult in
      try client.invokeBlocking("math.add", [1, 2])
    }
    #expect(blocking.values == [3])
    await client.close()
    server.stop()
  }

  @Test("a pinned server that comes with another key is refused, and both keys are named")
  func otherKey() async throws {
    let (wanted, found) = (PrivateKey.random().publicKey, PrivateKey.random())
    let server = try FakeServer { peer in
      try peer.greet { $0.serverProof = ServerProof(of: found, to: $1.nonce ?? []) }
      // Nothing else is sent to it, least of all a call.
      #expect(throws: FakeServer.Failure.self) { try peer.readFrame() }
    }
    for error in await Self.errors(Self.client(server.port, pinning: wanted)) {
      #expect(error?.exception == .unauthenticated)
      #expect(error?.executed == .no)
      for part in [
        "has the key \(found.publicKey.fingerprint)", "expected was \(wanted.fingerprint)",
        "another server may be answering in its place", "its 'key' is now '\(found.publicKey)'",
      ] {
        #expect(error?.message.contains(part) == true, "\(String(describing: error))")
      }
    }
    server.stop()
  }

  @Test("who names a key that it does not own gets no proof of ours")
  func impostor() async throws {
    let owner = PrivateKey.random()
    let scripts: [@Sendable (inout Hello, Hello) -> Void] = [
      // Another's signature over our nonce, and the owner's over an older one.
      { hello, client in
        var proof = ServerProof(of: PrivateKey.random(), to: client.nonce ?? [])
        proof.key = owner.publicKey.bytes
        hello.serverProof = proof
      },
      { hello, _ in hello.serverProof = ServerProof(of: owner, to: [UInt8](repeating: 1, count: 32)) },
      { hello, client in
        hello.serverProof = ServerProof(of: owner, to: client.nonce ?? [], channel: [1])
      },
    ]
    for script in scripts {
      let server = try FakeServer { peer in
        try peer.greet { hello, client in
          script(&hello, client)
          hello.features = [Feature.proof]
          hello.challenge = RandomBytes.challenge()
        }
        #expect(throws: FakeServer.Failure.self) { try peer.readFrame() }
      }
      for error in await Self.errors(Self.client(server.port, pinning: nil, try Self.options())) {
        #expect(error?.exception == .unauthenticated)
        #expect(error?.executed == .no)
        #expect(
          error?.message.contains("does not own the key that it names") == true,
          "\(String(describing: error))")
      }
      server.stop()
    }
  }

  @Test("a server of version 1.0, which has no key, gets no proof, and the version that is needed is named")
  func olderServer() async throws {
    let server = try FakeServer { peer in
      try peer.greet { hello in
        hello.agent = "SimpleRPC/1.0.0"
        hello.features = [Feature.proof]
        hello.challenge = [UInt8](repeating: 1, count: 32)
      }
      #expect(throws: FakeServer.Failure.self) { try peer.readFrame() }
    }
    for error in await Self.errors(Self.client(server.port, pinning: nil, try Self.options())) {
      #expect(error?.exception == .unauthenticated)
      #expect(error?.message.contains("runs 'SimpleRPC/1.0.0' and proves no key of its own") == true)
      #expect(error?.message.contains("need a server of version 1.1 or later") == true)
    }
    server.stop()
  }

  @Test("a client that proves nothing and pins nothing asks for no proof, which would cost the server time")
  func unasked() async throws {
    let server = try Self.serving { _, client in #expect(client.nonce == nil) }
    let client = Self.client(server.port, pinning: nil)
    #expect(try await client.invoke("math.add", [1, 2]).values == [3])
    await client.close()
    server.stop()
  }

  @Test("a server that takes no proofs, or refuses this one, fails the calls as not executed")
  func refused() async throws {
    let cases: [(script: FakeServer.Script, says: String)] = [
      (
        { peer in
          try peer.greet { $0.serverProof = ServerProof(of: PrivateKey.random(), to: $1.nonce ?? []) }
          _ = try peer.readFrame()
        }, "takes no proof of a key"
      ),
      (
        { peer in
          let hello = try peer.greet { hello, client in
            hello.features = [Feature.proof]
            hello.challenge = [UInt8](repeating: 1, count: 32)
            hello.serverProof = ServerProof(of: PrivateKey.random(), to: client.nonce ?? [])
          }
          #expect(hello.features == [Feature.proof])
          #expect(try peer.readFrame().kind == .proof)
          peer.send { RPCError(.unauthenticated, "not you").encode(to: &$0, callID: 0) }
        }, "not you"
      ),
    ]
    for (script, says) in cases {
      let server = try FakeServer(script)
      var options = try Self.options()
      options.connectTimeout = .seconds(20)
      let client = LifecycleTests.client(ports: [server.port], options: options)
      let error = await #expect(throws: RPCError.self) { try await client.invoke("math.add", [1, 2]) }
      #expect(error?.exception == .unauthenticated)
      #expect(error?.executed == .no)
      #expect(error?.message.contains(says) == true, "\(String(describing: error))")
      let blocking = await BlockingTests.error { () throws(RPCError) -> CallResult in
        try client.invokeBlocking("math.add", [1, 2])
      }
      #expect(blocking?.exception == .unauthenticated)
      #expect(blocking?.executed == .no)
      await client.close()
      server.stop()
    }
  }
}
