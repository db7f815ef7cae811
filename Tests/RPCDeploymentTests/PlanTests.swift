import RPCClient
import RPCProcedures
import RPCProto
import RPCWire
import Testing

@testable import RPCDeployment

@Suite("A plan")
struct PlanTests {
  static func plan(
    _ desired: Manifest, _ actual: Manifest?, topology: Topology = Samples.topology
  ) -> Plan {
    let before = actual.map { Samples.content($0) }
    return Plan(
      desired: Samples.content(desired, topology: topology),
      actual: before.map { ServerCatalogue($0, generation: 3) } ?? ServerCatalogue(),
      status: DeploymentStatus(
        generation: actual == nil ? 0 : 3, digest: actual?.digest ?? "", topology: before == nil ? nil : 2,
        topologyDigest: before?.topology.digest, deployment: before == nil ? nil : Samples.deployment))
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
      desired: Samples.content(), actual: ServerCatalogue(Samples.content(), generation: 3),
      status: DeploymentStatus(
        generation: 3, digest: Samples.manifest().digest, topology: 1,
        topologyDigest: Samples.topology.digest, degraded: "a source is damaged",
        deployment: Samples.deployment))
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

  @Test("what breaks clients of gRPC is told: numbers that get another name or type, or go")
  func protoChanges() {
    func plan(_ old: [Procedure], _ new: [Procedure]) -> [String] {
      Self.plan(Samples.manifest(new), Samples.manifest(old)).protoChanges.map(\.message)
    }
    var old = Samples.procedure("text", "f", [.int, .int])
    old.signature.parameters[0].name = "a"
    old.signature.parameters[1].name = "b"
    #expect(plan([old], [old]) == [])
    var renamed = old
    renamed.signature.parameters[1].name = "c"
    #expect(
      plan([old], [renamed]) == [
        "in gRPC 'text.f' changes: the number 2 was the argument 'b' and becomes 'c'"
      ])
    var swapped = old
    swapped.signature.parameters.swapAt(0, 1)
    #expect(plan([old], [swapped]).count == 2)
    swapped.grpc.argumentFields = [2, 1]
    #expect(plan([old], [swapped]) == [], "pinned numbers stay with their names")
    let shorter = Samples.procedure("text", "f", [.string])
    #expect(plan([old], [shorter]).contains { $0.contains("gets another type") })
    #expect(plan([old], [shorter]).contains { $0.contains("'b' with the number 2 is gone") })
    // The first overload has the plain name.
    var first = Samples.procedure("text", "g", [.int])
    var second = Samples.procedure("text", "g", [.string])
    second.grpc.overload = 1
    let before = [first, second]
    first.grpc.overload = 1
    second.grpc.overload = 0
    #expect(plan(before, [first, second]).count == 1)
    // An overload that becomes the only one loses the name that told it from the others; a removed one is told as such.
    #expect(plan(before, [before[0]]) == ["in gRPC 'text.g__int' is gone: it is 'text.g' now"])
    #expect(plan([before[0]], []) == [])
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
    let moved = Self.plan(base, base, topology: Samples.topology(port: 9))
    #expect(moved.notes == ["the addresses or keys of servers or clients changed"])
    #expect(moved.isTopologyOnly && !moved.isUpToDate)
    let elsewhere = Manifest(
      server: "s1",
      services: [base.services[1]] + [
        Topology.Service(name: "far", providers: ["s2"], tenants: ["net"])
      ], procedures: base.procedures)
    #expect(Self.plan(elsewhere, base).notes == ["services elsewhere changed"])
  }

  @Test("closures of the program and the service system are no part of what was deployed")
  func deployedServices() {
    let closure = Procedure(
      signature: Signature(service: "", name: "f", parameters: [], returns: []), language: .closure)
    let deployed = Samples.procedure("text", "g")
    func service(_ name: String, _ procedures: Procedure...) -> ServerCatalogue.Service {
      ServerCatalogue.Service(name: name, tenants: ["c1"], providers: ["s1"], procedures: procedures)
    }
    let catalogue = ServerCatalogue(services: [
      service("system", closure), service("native", closure), service("text", closure, deployed),
      service("empty"),
    ])
    #expect(catalogue.deployedServices == [service("text", deployed), service("empty")])
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
        1 added, 1 removed on 1 server.

        """)
  }

  /// Thirty servers of which `changed` get another source of twenty procedures.
  static func many(_ changed: Int, outcome: DeploymentReport.Outcome, failures: [LoadFailure] = [])
    -> DeploymentReport
  {
    func manifest(_ source: [UInt8]) -> Manifest {
      Samples.manifest((1...20).map { Samples.procedure("text", "f\($0)", source: source) })
    }
    let old = manifest(Samples.sourceA)
    let new = manifest(Samples.sourceB)
    return DeploymentReport(
      servers: (1...30).map { number in
        DeploymentReport.Server(
          server: Topology.Server(name: "s\(number)", host: "10.0.0.\(number)", port: 8181),
          outcome: number <= changed ? outcome : .upToDate,
          plan: PlanTests.plan(new, number <= changed ? old : new),
          sentSources: number <= changed ? 1 : 0, sentBytes: number <= changed ? 40 : 0,
          loadFailures: number <= changed ? failures : [])
      }, sourcePaths: [ContentDigest.hex(of: Samples.sourceB): "services/text/f.py"])
  }

  @Test("one changed source of 20 procedures on 30 servers is a few lines, with a count at the end")
  func grouped() {
    let old = ContentDigest.short(ContentDigest.hex(of: Samples.sourceA))
    let new = ContentDigest.short(ContentDigest.hex(of: Samples.sourceB))
    #expect(
      DeploymentText(Self.many(28, outcome: .deployed(generation: 4))).text == """
        s1, s2, s3, s4, s5, s6 and 22 more  generation 4 in force, sent 1 source (40 bytes)
          ~ services/text/f.py: 20 procedures (text.f1, text.f10, text.f11, text.f12, text.f13, text.f14, …)  \
        source \(old) -> \(new)
        s29, s30  up to date (generation 3, 20 procedures, deployment 0123456789ab, serial 4)
        20 changed on 28 of 30 servers.

        """)
  }

  @Test("a source that no server can load is told once, with its path")
  func groupedFailure() {
    let failure = LoadFailure(
      digest: ContentDigest.hex(of: Samples.sourceB), sourceName: "f.py",
      procedures: (1...20).map { "text.f\($0)(int) -> str" }, message: "invalid syntax", place: "f.py:3")
    let error = RPCError(.failedPrecondition, "a source cannot be loaded")
    let text = DeploymentText(Self.many(3, outcome: .refused(error), failures: [failure])).text
    #expect(
      text.hasSuffix(
        """
        services/text/f.py:3: invalid syntax (text.f1(int) -> str and 19 more) on s1, s2, s3
        Nothing was changed on any server because of s1, s2, s3.

        """), "\(text)")
    #expect(text.split(separator: "\n").count == 5, "\(text)")
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
