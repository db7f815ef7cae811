import RPCClient
import RPCKeys
import RPCNetwork
import RPCProcedures
import RPCWire
import Testing

@testable import RPCDeployment

/// `system.topology`, by which a client learns the network from one server.
@Suite("What a server tells of its network")
struct ServerTopologyTests {
  private static func told(
    by server: String, in network: RealNetwork, key: PrivateKey? = nil
  ) async throws -> ServerTopology {
    var options = ClientOptions()
    options.key = key
    let client = try RPCClient(topology: InitFile.load(network.file).network, options: options)
    let result = try await client.invoke(DescribeTopology.signature.qualifiedName, [], on: server)
    await client.close()
    return try DescribeTopology.answer(result.values)
  }

  @Test("nothing before the first deployment, not even a name")
  func empty() async throws {
    let network = try RealNetwork()
    #expect(try await Self.told(by: "s1", in: network) == ServerTopology())
    #expect(try await Self.told(by: "s1", in: network, key: RealNetwork.key) == ServerTopology())
  }

  @Test("a tenant is told the service, its providers and where they are")
  func tenant() async throws {
    let network = try RealNetwork()
    #expect(await network.initialize().exit == .done)
    let servers = try InitFile.load(network.file).network.servers
    for name in ["s1", "s2"] {
      let told = try await Self.told(by: name, in: network)
      #expect(told.server == name && told.generation == 1 && told.topologyDigest != nil)
      #expect(told.servers == servers.map { .init(name: $0.name, host: $0.host, port: Int($0.port)) })
      #expect(told.services == [.init(name: "text", providers: ["s1", "s2"])])
      // Nobody asked for keys: none is told, though the servers have proven theirs.
      #expect(told.authorities == nil && told.servers.allSatisfy { $0.key == nil && $0.certificate == nil })
    }
  }

  @Test("who may not use a service is not told of it nor of its other providers; who may deploy is")
  func access() async throws {
    let network = try RealNetwork()
    try network.write(tenants: "other")
    #expect(await network.initialize().exit == .done)
    for name in ["s1", "s2"] {
      let stranger = try await Self.told(by: name, in: network)
      #expect(stranger.services == [] && stranger.servers.map(\.name) == [name])
      let unknown = try await Self.told(by: name, in: network, key: PrivateKey.random())
      #expect(unknown == stranger)
      let deployer = try await Self.told(by: name, in: network, key: RealNetwork.key)
      #expect(deployer.services.map(\.name) == ["text"] && deployer.servers.map(\.name) == ["s1", "s2"])
    }
    // A right that is given counts with the next question.
    try network.write(tenants: "me")
    #expect(await network.initialize().exit == .done)
    #expect(try await Self.told(by: "s1", in: network).servers.map(\.name) == ["s1", "s2"])
  }
}
