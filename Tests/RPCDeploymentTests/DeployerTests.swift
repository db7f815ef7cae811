import RPCClient
import RPCProcedures
import RPCWire
import Testing

@testable import RPCDeployment

@Suite("A deployment over all servers")
struct DeployerTests {
  typealias Outcome = DeploymentReport.Outcome

  @Test("gives every server what the file says and tells what was sent")
  func everything() async throws {
    let network = try FakeNetwork()
    let report = await network.deployer().run()
    #expect(report.servers.map(\.outcome) == [.deployed(generation: 1), .deployed(generation: 1)])
    #expect(report.succeeded)
    #expect(report.servers.map(\.sentSources) == [2, 2])
    let bytes = Samples.sourceA.count + Samples.sourceB.count
    #expect(report.servers.map(\.sentBytes) == [bytes, bytes])
    #expect(await network.s1.manifest == FakeNetwork.manifest("s1", FakeNetwork.first))
    #expect(await network.s2.manifest == FakeNetwork.manifest("s2", FakeNetwork.first))
  }

  @Test("sends nothing at all the second time")
  func again() async throws {
    let network = try FakeNetwork()
    _ = await network.deployer().run()
    await network.s1.clearSteps()
    let report = await network.deployer().run()
    #expect(report.servers.map(\.outcome) == [.upToDate, .upToDate])
    #expect(report.succeeded)
    #expect(await network.s1.steps == [.status, .catalogue])
    #expect(await network.s1.serial == 1)
  }

  @Test("sends only the source that changed, and removes what is gone")
  func change() async throws {
    let network = try FakeNetwork()
    _ = await network.deployer().run()
    let changed = Array("def concat(n, s): return 'new'".utf8)
    let report = await network.deployer([("concat", changed)]).run()
    #expect(report.servers.map(\.sentSources) == [1, 1])
    #expect(report.servers[0].sentBytes == changed.count)
    #expect(report.servers[0].plan?.changed.map(\.new.signature.name) == ["concat"])
    #expect(report.servers[0].plan?.removed.map(\.signature.name) == ["add"])
    #expect(await network.s2.manifest?.procedures.count == 1)
    let emptied = await network.deployer([]).run()
    #expect(emptied.servers.map(\.outcome) == [.deployed(generation: 3), .deployed(generation: 3)])
    #expect(await network.s1.manifest?.procedures.isEmpty == true)
  }

  /// Steps before the switch, and each way to fail.
  static let failures: [(FakePeer.Step, FakePeer.Fault)] = [
    .status, .catalogue, .begin, .put, .prepare,
  ].flatMap { step in [(step, .unreachable), (step, .answerLost), (step, .refused)] }

  @Test("if one server cannot, none switches, and the next run succeeds", arguments: failures.indices)
  func allOrNothing(index: Int) async throws {
    let (step, fault) = Self.failures[index]
    for culprit in ["s1", "s2"] {
      let network = try FakeNetwork()
      let bad = culprit == "s1" ? network.s1 : network.s2
      await bad.fail(step, fault)
      let report = await network.deployer().run()
      #expect(!report.succeeded)
      #expect(report.failures.map(\.server.name) == [culprit], "\(step) \(fault)")
      let other = try #require(report.servers.first { $0.server.name != culprit })
      #expect(other.outcome == .leftAlone)
      #expect(await network.s1.manifest == nil)
      #expect(await network.s2.manifest == nil)
      // Nobody is left with a lock, not even where an answer was lost.
      #expect(await network.s1.isLocked == false)
      #expect(await network.s2.isLocked == false)
      await bad.heal()
      #expect(await network.deployer().run().succeeded)
      #expect(await network.s2.serial == 1)
    }
  }

  @Test("a lost answer to the commit is asked for again")
  func lostCommit() async throws {
    let network = try FakeNetwork()
    await network.s2.fail(.commit, .answerLost, count: 2)
    let report = await network.deployer().run()
    #expect(report.servers.map(\.outcome) == [.deployed(generation: 1), .deployed(generation: 1)])
    #expect(await network.s2.steps.filter { $0 == .commit }.count == 3)
  }

  @Test("a server that does not confirm is named, and the next run gives it what it lacks")
  func unconfirmed() async throws {
    let network = try FakeNetwork()
    await network.s2.fail(.commit, .unreachable)
    let report = await network.deployer { $0.commitAttempts = 3 }.run()
    #expect(report.servers[0].outcome == .deployed(generation: 1))
    guard case .unconfirmed = report.servers[1].outcome else {
      Issue.record("\(report.servers[1].outcome)")
      return
    }
    #expect(!report.succeeded)
    #expect(DeploymentText(report).text.contains("Not every server switched (s2). Run it again"))
    await network.s2.heal()
    // The lock of the run that was lost ends by itself; here its time has not come.
    let blocked = await network.deployer().run()
    guard case .refused(let error) = blocked.servers[1].outcome else {
      Issue.record("\(blocked.servers[1].outcome)")
      return
    }
    #expect(error.message.contains("is deploying"))
    #expect(blocked.servers[0].outcome == .upToDate)
  }

  @Test("a plan that another deployment overtook is refused and changes nothing")
  func overtaken() async throws {
    let network = try FakeNetwork()
    let s2 = network.s2
    // Between the plan and the begin of the slower run, somebody else deploys to s2.
    await network.s1.before(.begin) {
      guard await s2.manifest == nil else { return }
      let request = DeploymentRequest(
        transaction: "other", who: "eve", baseDigest: "", force: false,
        manifest: FakeNetwork.manifest("s2", []).encode())
      _ = try? await s2.begin(request)
      try? await s2.prepare("other")
      _ = try? await s2.commit("other")
    }
    let report = await network.deployer().run()
    guard case .refused(let error) = report.servers[1].outcome else {
      Issue.record("\(report.servers[1].outcome)")
      return
    }
    #expect(error.message.contains("plan again"))
    #expect(report.servers[0].outcome == .leftAlone)
    #expect(await network.s1.manifest == nil)
    #expect(await network.deployer().run().succeeded)
  }

  @Test("servers that are ready are kept while another still loads")
  func heartbeat() async throws {
    let network = try FakeNetwork()
    let s1 = network.s1
    await network.s2.before(.prepare) {
      // Goes on once the first server has been given two signs of life.
      while await s1.steps.filter({ $0 == .prepare }).count < 3, !Task.isCancelled { await Task.yield() }
    }
    #expect(await network.deployer().run().succeeded)
  }

  @Test("interrupted before the switch it leaves everything as it was")
  func cancelled() async throws {
    let network = try FakeNetwork()
    let (stream, continuation) = AsyncStream.makeStream(of: Void.self)
    await network.s2.before(.prepare) {
      continuation.yield()
      while !Task.isCancelled { await Task.yield() }
    }
    let deployer = network.deployer()
    let run = Task { await deployer.run() }
    for await _ in stream { break }
    run.cancel()
    let report = await run.value
    #expect(report.servers.map(\.outcome) == [.leftAlone, .leftAlone])
    #expect(DeploymentText(report).text.hasSuffix("Nothing was changed on any server: interrupted.\n"))
    #expect(await network.s1.manifest == nil)
    #expect(await network.s1.isLocked == false)
    #expect(await network.s2.isLocked == false)
  }

  @Test("a dry run asks and changes nothing")
  func dryRun() async throws {
    let network = try FakeNetwork()
    let report = await network.deployer { $0.dryRun = true }.run()
    #expect(report.servers.map(\.outcome) == [.planned, .planned])
    #expect(report.succeeded)
    #expect(await network.s1.steps == [.status, .catalogue])
  }

  @Test("forced, it deploys what is there already, without sending it")
  func force() async throws {
    let network = try FakeNetwork()
    _ = await network.deployer().run()
    let report = await network.deployer { $0.force = true }.run()
    #expect(report.servers.map(\.outcome) == [.deployed(generation: 2), .deployed(generation: 2)])
    #expect(report.servers.map(\.sentSources) == [0, 0])
  }

  @Test("a source of several chunks arrives whole", arguments: [0, -1, 1])
  func chunks(offset: Int) async throws {
    let network = try FakeNetwork()
    let source = [UInt8](repeating: 0x20, count: 2 * DeploymentLimits.chunkBytesMax + offset)
    #expect(await network.deployer([("concat", source)]).run().succeeded)
    #expect(await network.s1.steps.filter { $0 == .put }.count == (offset > 0 ? 3 : 2))
  }

  @Test("an empty source is sent too")
  func emptySource() async throws {
    let network = try FakeNetwork()
    #expect(await network.deployer([("concat", [])]).run().succeeded)
  }
}

@Suite("A plan")
struct PlanTests {
  static func plan(_ desired: Manifest, _ actual: Manifest?) -> Plan {
    Plan(
      desired: desired,
      actual: actual.map { ServerCatalogue($0, generation: 3) } ?? ServerCatalogue(),
      status: DeploymentStatus(generation: actual == nil ? 0 : 3, digest: actual?.digest ?? ""))
  }

  @Test("against an empty server everything is added")
  func fresh() {
    let plan = Self.plan(Samples.manifest(), nil)
    #expect(plan.added.map(\.signature.name) == ["add", "concat"])
    #expect(plan.notes == ["+ service text for c1"])
    #expect(!plan.isUpToDate)
  }

  @Test("against itself there is nothing to do, unless the server is degraded")
  func same() {
    let plan = Self.plan(Samples.manifest(), Samples.manifest())
    #expect(plan.isUpToDate)
    #expect(plan.unchanged.count == 2)
    #expect(plan.notes.isEmpty)
    let degraded = Plan(
      desired: Samples.manifest(), actual: ServerCatalogue(Samples.manifest(), generation: 3),
      status: DeploymentStatus(
        generation: 3, digest: Samples.manifest().digest, degraded: "a source is damaged"))
    #expect(!degraded.isUpToDate)
  }

  @Test("an overload with other types is another procedure")
  func overloads() {
    let plan = Self.plan(
      Samples.manifest([Samples.procedure("text", "f", [.float]), Samples.procedure("text", "f", [.string])]),
      Samples.manifest([Samples.procedure("text", "f", [.int]), Samples.procedure("text", "f", [.string])]))
    #expect(plan.added.map { "\($0.signature)" } == ["text.f(float) -> str"])
    #expect(plan.removed.map { "\($0.signature)" } == ["text.f(int) -> str"])
    #expect(plan.unchanged.count == 1)
  }

  @Test("what changed of a procedure is told")
  func details() {
    var new = Samples.procedure("text", "f", source: Samples.sourceB)
    new.signature.returns = []
    new.signature.parameters[0].name = "n"
    new.timeoutMilliseconds = 100
    new.documentation = "Hello"
    new.idempotent = true
    let old = Samples.procedure("text", "f")
    let plan = Self.plan(Samples.manifest([new]), Samples.manifest([old]))
    #expect(
      plan.changed.first?.details == [
        "source \(ContentDigest.short(old.digest)) -> \(ContentDigest.short(new.digest))",
        "arguments (int) -> (n: int)", "returns (str) -> ()", "timeout none -> 100ms",
        "idempotent false -> true", "doc",
      ])
  }

  @Test("changed tenants are told, and so is a network that changed otherwise")
  func notes() {
    let tenants = Self.plan(Samples.manifest(tenants: ["net", "k"]), Samples.manifest())
    #expect(tenants.notes == ["tenants of text: +k +net -c1"])
    let base = Samples.manifest()
    let moved = Manifest(
      server: "s1", servers: [base.servers[0], Topology.Server(name: "s2", host: "::1", port: 9)],
      clients: base.clients, services: base.services, procedures: base.procedures)
    #expect(
      Self.plan(moved, base).notes
        == ["the addresses of servers, addresses or keys of clients, or services elsewhere, changed"])
  }

  @Test("a catalogue is read as a server tells it, without what is not deployed")
  func catalogue() throws {
    let value: Value = [
      "server": "s1", "version": "x", "generation": 3, "digest": "ab", "started_ms": 1,
      "services": [
        ["name": "system", "tenants": [], "providers": [], "procedures": []],
        [
          "name": "native", "providers": [],
          "procedures": [["name": "f", "parameters": [], "returns": [], "language": "swift"]],
        ],
        [
          "name": "text", "tenants": ["c1"], "providers": ["s1"],
          "procedures": [
            [
              "name": "f", "parameters": [["name": "a", "type": "int"]], "returns": ["List[str]"],
              "language": "lua", "function": "f", "digest": "cd", "source_name": "f.lua", "idempotent": true,
              "timeout_ms": 5, "memory_bytes": 6, "doc": "d", "calls": 7,
            ]
          ],
        ],
      ],
    ]
    let catalogue = try ServerCatalogue(value)
    #expect(catalogue.services == [ServerCatalogue.Service(name: "text", tenants: ["c1"], providers: ["s1"])])
    #expect(catalogue.procedures.map { "\($0.signature)" } == ["text.f(a: int) -> List[str]"])
    #expect(catalogue.procedures[0].memoryBytes == 6)
    #expect(throws: DeploymentError.self) { try ServerCatalogue("junk") }
  }
}

@Suite("What the initializer says")
struct DeploymentTextTests {
  static func report() -> DeploymentReport {
    let plan = PlanTests.plan(
      Samples.manifest(
        [Samples.procedure("text", "f"), Samples.procedure("text", "same")], tenants: ["net"]),
      Samples.manifest([Samples.procedure("text", "g"), Samples.procedure("text", "same")]))
    let address = Topology.Server(name: "s1", host: "::1", port: 8181)
    return DeploymentReport(servers: [
      DeploymentReport.Server(
        server: address, outcome: .deployed(generation: 4), plan: plan, sentSources: 1, sentBytes: 1536)
    ])
  }

  @Test("a server's line, its changes, and what was sent")
  func deployed() {
    let digest = ContentDigest.short(ContentDigest.hex(of: Samples.sourceA))
    #expect(
      DeploymentText(Self.report()).text == """
        s1  [::1]:8181  generation 4 in force, sent 1 source (1.5 KiB)
          + text.f(int) -> str  \(digest)
          - text.g(int) -> str  \(digest)
          tenants of text: +net -c1
          = 1 procedure unchanged

        """)
  }

  @Test("colours only where they are asked for")
  func colors() {
    #expect(DeploymentText(Self.report(), isColored: true).text.contains("\u{1b}[32m+ \u{1b}[0m"))
    #expect(!DeploymentText(Self.report()).text.contains("\u{1b}"))
  }

  @Test("programs get one object that can be read back")
  func json() throws {
    let text = DeploymentJSON.value(of: Self.report(), isDryRun: false).json
    let value = try Value(json: text)
    #expect(value["ok"] == true)
    #expect(value["servers"]?.listValue?.first?["outcome"] == "deployed")
    #expect(value["servers"]?.listValue?.first?["generation"] == 4)
    #expect(!text.contains("\n"))
    let errors = InitFileErrors([Diagnostic(file: "f", line: 1, column: 2, message: "m", suggestion: "s")])
    #expect(
      DeploymentJSON.value(of: errors).json
        == #"{"ok":false,"errors":[{"file":"f","line":1,"column":2,"message":"m","suggestion":"s"}],"omitted":0}"#
    )
  }

  @Test("sizes are short")
  func sizes() {
    #expect(
      [0, 1023, 1024, 1536, 1 << 20].map(DeploymentText.size) == [
        "0 bytes", "1023 bytes", "1.0 KiB", "1.5 KiB", "1.0 MiB",
      ])
  }
}
