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

  @Test("a server that takes no proofs, or refuses this one, fails the calls as not executed")
  func refused() async throws {
    let cases: [(script: FakeServer.Script, says: String)] = [
      (
        { peer in
          try peer.greet()
          _ = try peer.readFrame()
        }, "takes no proof of a key"
      ),
      (
        { peer in
          let hello = try peer.greet { hello in
            hello.features = [Feature.proof]
            hello.challenge = [UInt8](repeating: 1, count: 32)
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
