import RPCClient
import RPCProcedures
import RPCWire
import TestSupport
import Testing

@testable import RPCDeployment

/// The arguments and answers of `system`, which clients in other languages read by Docs/PROTOCOL.md.
@Suite("The contract of system")
struct SystemContractTests {
  /// A call of each procedure, its arguments, an answer and the return values, as they travel.
  static let examples: [any SystemExample] = [
    Example(Ping(), [], "pong", ["pong"]),
    Example(
      DescribeCatalogue(), [],
      ServerCatalogue(
        server: "s1", version: "rpc-server/1", generation: 3, digest: "ab", topologyDigest: "cd",
        startedMilliseconds: 4,
        services: [
          .init(name: "open", tenants: nil, providers: ["s1"], procedures: []),
          .init(name: "text", tenants: ["c1"], providers: [], procedures: [procedure]),
        ]),
      [
        [
          "server": "s1", "version": "rpc-server/1", "generation": 3, "digest": "ab",
          "topology_digest": "cd", "started_ms": 4,
          "services": [
            ["name": "open", "providers": ["s1"], "procedures": []],
            ["name": "text", "tenants": ["c1"], "providers": [], "procedures": [procedureOnTheWire]],
          ],
        ]
      ]),
    Example(ReadStatistics(), [], statistics, [statisticsOnTheWire]),
    Example(
      ReadSource(service: "text", procedure: "f", types: ["int", "List[str]"]),
      ["text", "f", ["int", "List[str]"]], "def f(a, b)", ["def f(a, b)"]),
    Example(
      DeployStatus(), [],
      DeploymentStatus(
        generation: 7, digest: "ab", topology: 3, topologyDigest: "cd", previous: 6,
        preparedTransaction: "t", lock: .init(who: "me", remainingMilliseconds: 12),
        lastDeploymentMilliseconds: 5, degraded: "why", deployment: Samples.deployment, highestSerial: 8),
      [
        [
          "generation": 7, "digest": "ab", "topology": 3, "topology_digest": "cd",
          "previous": 6, "prepared_tx": "t",
          "lock": ["who": "me", "ttl_ms": 12], "last_deployment_ms": 5, "degraded": "why",
          "deployment": [
            "id": "0123456789ab", "serial": 4, "network": "default",
            "deployer": .string("\(Samples.deployer.publicKey)"), "trusted": true, "who": "tester",
            "time_ms": 1_700_000_000_000,
          ], "highest_serial": 8,
        ]
      ]),
    Example(DeployStatus(), [], DeploymentStatus(), [["generation": 0, "digest": ""]]),
    Example(
      DeployBegin(
        transaction: "t", who: "me", base: DeploymentBase(manifest: "ab", topology: "cd"), force: true,
        manifest: [1, 2], topology: [3], statement: [4], signature: [5, 6]),
      ["t", "me", "ab", "cd", true, .bytes([1, 2]), .bytes([3]), .bytes([4]), .bytes([5, 6])], ["cd", "ef"],
      [["cd", "ef"]]),
    Example(
      DeployPut(transaction: "t", digest: "ab", offset: 3, data: [4], last: false),
      ["t", "ab", 3, .bytes([4]), false], 4, [4]),
    Example(DeployPrepare(transaction: "t"), ["t"], DeployPrepare.Answer(), [.map([])]),
    Example(
      DeployPrepare(transaction: "t"), ["t"],
      DeployPrepare.Answer(failures: [
        LoadFailure(digest: "ab", sourceName: "f.py", procedures: ["text.f() -> int"], message: "no"),
        LoadFailure(digest: "cd", sourceName: "g.py", procedures: [], message: "no", place: "g.py:3"),
      ]),
      [
        [
          "failures": [
            ["digest": "ab", "source_name": "f.py", "procedures": ["text.f() -> int"], "message": "no"],
            ["digest": "cd", "source_name": "g.py", "procedures": [], "message": "no", "place": "g.py:3"],
          ]
        ]
      ]),
    Example(DeployCommit(transaction: "t"), ["t"], 8, [8]),
    Example(DeployAbort(transaction: "t"), ["t"], NoAnswer(), []),
    Example(DeployUnlock(who: "me"), ["me"], nil, [.map([])]),
    Example(
      DeployUnlock(who: "me"), ["me"], .init(who: "you", remainingMilliseconds: 9),
      [["who": "you", "ttl_ms": 9]]),
    Example(
      DescribeTopology(), [], ServerTopology(),
      [["generation": 0, "servers": .list([]), "services": .list([])]]),
    Example(
      DescribeTopology(), [],
      ServerTopology(
        server: "s1", generation: 3, topologyDigest: "cd", authorities: "PEM",
        servers: [
          .init(name: "s1", host: "10.0.0.1", port: 8181),
          .init(name: "s2", host: "fd00::2", port: 8282, key: "ssh-ed25519 A", certificate: "sha256//B"),
        ],
        services: [.init(name: "text", providers: ["s1", "s2"])]),
      [
        [
          "server": "s1", "generation": 3, "topology_digest": "cd", "ca": "PEM",
          "servers": [
            ["name": "s1", "host": "10.0.0.1", "port": 8181],
            [
              "name": "s2", "host": "fd00::2", "port": 8282, "key": "ssh-ed25519 A",
              "certificate": "sha256//B",
            ],
          ],
          "services": [["name": "text", "providers": ["s1", "s2"]]],
        ]
      ]),
  ]

  static let procedure = Procedure(
    signature: Signature(
      service: "text", name: "f", parameters: [Parameter(.int, name: "a"), Parameter(.list(.string))],
      returns: [.optional(.float)]),
    language: .lua, function: "g", digest: "cd", sourceName: "f.lua", documentation: "Does it.",
    timeoutMilliseconds: 5, memoryBytes: 6, idempotent: true)
  static let procedureOnTheWire: Value = [
    "name": "f", "parameters": [["name": "a", "type": "int"], ["type": "List[str]"]],
    "returns": ["Optional[float]"], "language": "lua", "function": "g", "digest": "cd",
    "source_name": "f.lua", "idempotent": true, "doc": "Does it.", "timeout_ms": 5, "memory_bytes": 6,
  ]

  static let statistics: ServerStatistics = {
    var statistics = ServerStatistics()
    statistics.connections = 1
    statistics.connectionsTotal = 2
    statistics.connectionsRefused = 3
    statistics.calls = 4
    statistics.callsInFlight = 5
    statistics.errors = 6
    statistics.cancelled = 7
    statistics.deadlineExceeded = 8
    statistics.refused = 9
    statistics.bytesIn = 10
    statistics.bytesOut = 11
    statistics.uptimeMilliseconds = 12
    statistics.loops = 13
    statistics.generation = 14
    statistics.procedures = [
      .init(service: "text", procedure: "f", types: ["int"], calls: 15, errors: 16, microseconds: 17)
    ]
    statistics.degraded = "why"
    return statistics
  }()
  static let statisticsOnTheWire: Value = [
    "connections": 1, "connections_total": 2, "connections_refused": 3, "calls": 4, "calls_in_flight": 5,
    "errors": 6, "cancelled": 7, "deadline_exceeded": 8, "refused": 9, "bytes_in": 10, "bytes_out": 11,
    "uptime_ms": 12, "loops": 13, "generation": 14,
    "per_procedure": [
      ["service": "text", "rpc": "f", "types": ["int"], "calls": 15, "errors": 16, "total_us": 17]
    ],
    "degraded": "why",
  ]

  @Test("every procedure has an example")
  func complete() {
    #expect(Set(Self.examples.map(\.name)) == Set(SystemContract.procedures.map { $0.name }))
  }

  @Test(
    "calls and answers travel as they are specified, and come back as they were", arguments: examples.indices)
  func travels(_ index: Int) throws { try Self.examples[index].travels() }

  @Test("what a newer program adds to an answer is passed over", arguments: examples.indices)
  func additions(_ index: Int) throws { try Self.examples[index].passesOverAdditions() }

  @Test("a field that is missing or of another type is named", arguments: examples.indices)
  func damage(_ index: Int) throws {
    let example = Self.examples[index]
    for value in example.returned {
      for damaged in DamagedValue.all(of: value) {
        let error = example.error(reading: [damaged.value])
        #expect(error?.exception == .protocolError)
        #expect(
          error?.message == "the server's answer is not understood: \(example.name)\(damaged.message)",
          "\(damaged.value)")
      }
    }
  }

  @Test("arguments that are too few, too many or of another type are refused by name")
  func arguments() {
    func message(_ arguments: [Value]) -> String? {
      do throws(RPCError) {
        _ = try DeployPut(arguments: arguments)
        return nil
      } catch {
        return "\(error.exception.rawValue): \(error.message)"
      }
    }
    #expect(message(["t", "ab", 3, .bytes([4]), false]) == nil)
    #expect(message([]) == "InvalidArguments: deploy_put takes 5 arguments, not 0")
    #expect(message(["t", "ab", 3, "x", false]) == "InvalidArguments: deploy_put.data is not bytes")
    #expect(message(["t", "ab", nil, "x", false]) == "InvalidArguments: deploy_put.offset is not an integer")
  }

  @Test("a type or language of a newer server does not hide the rest of its catalogue")
  func newer() throws {
    var entries = try #require(Self.procedureOnTheWire.mapValue)
    for index in entries.indices {
      if entries[index].key == "language" { entries[index].value = "cobol" }
      if entries[index].key == "returns" { entries[index].value = ["Decimal"] }
    }
    let procedure = try Procedure(decoding: .map(entries))
    #expect(procedure.signature.returns == [.any])
    #expect(procedure.language == Language(name: "cobol"))
  }

  @Test("random calls and answers come back as they were", arguments: 0..<20)
  func random(seed: UInt64) throws {
    var random = RandomValues(seed: seed)
    for _ in 0..<20 {
      for procedure in SystemContract.procedures { try Self.random(procedure, &random) }
    }
  }

  private static func random<Procedure: SystemProcedure>(
    _ type: Procedure.Type, _ random: inout RandomValues
  ) throws {
    let arguments = Procedure.fields.map { random.value(of: $0.type) }
    #expect(try Procedure(arguments: arguments).arguments == arguments)
    let made = random.answer(Procedure.Answer.self)
    let answer = try #require(made, "\(Procedure.name)")
    let sent = Value.list(answer.values).messagePack
    #expect(try Procedure.answer(Value.list(messagePack: sent)) == answer)
  }

  @Test("a server offers what the contract lists, no less and no more")
  func offered() async throws {
    let network = try RealNetwork()
    let topology = try InitFile.load(network.file).network
    let client = RPCClient(topology: topology)
    let peer = ClientPeer(client: client, server: "s1", timeout: .seconds(30))
    let service = try #require(await peer.catalogue().service(SystemContract.service))
    #expect(service.procedures == SystemContract.procedures.map { $0.procedure })
    #expect(service.tenants == nil)
    // What needs a key is refused without one, whatever its arguments are.
    for procedure in SystemContract.procedures where procedure.access == .deployers {
      var random = RandomValues(seed: 1)
      let arguments = procedure.signature.parameterTypes.map { random.value(of: $0) }
      await #expect {
        try await client.invoke(procedure.signature.qualifiedName, arguments, on: "s1")
      } throws: {
        ($0 as? RPCError)?.exception == .unauthenticated
      }
    }
    await client.close()
  }
}
