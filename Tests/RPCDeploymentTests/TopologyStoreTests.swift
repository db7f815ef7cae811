import RPCKeys
import RPCWire
import TestSupport
import Testing

@testable import RPCDeployment

@Suite("The topology on a server")
struct TopologyStoreTests {
  static let moved = Samples.topology(port: 9)

  @Test("a changed address is a new topology and no new generation, and nothing is loaded")
  func alone() throws {
    let directory = TemporaryDirectory(inMemory: true)
    let bench = try StagingBench(directory)
    let generation = try bench.deploy("t1")
    #expect(bench.staging.store.topology?.serial == 1)
    #expect(generation.record.topology == 1)
    #expect(try bench.begin("t2", topology: Self.moved) == [])
    #expect(try bench.staging.startLoading("t2", now: bench.now) == nil)
    #expect(bench.staging.status(now: bench.now).preparedTransaction == "t2")
    #expect(bench.staging.store.topology?.serial == 1, "nothing is in force before the commit")
    #expect(try bench.staging.commit("t2", now: bench.now) == generation)
    #expect(try bench.staging.commit("t2", now: bench.now) == generation, "a commit may be repeated")
    let status = bench.staging.status(now: bench.now)
    #expect(status.generation == 1 && status.topology == 2 && status.topologyDigest == Self.moved.digest)
    #expect(try bench.disk.link("topology") == "topologies/2")
    bench.staging.store.close()
    let again = try StagingBench(directory)
    #expect(again.staging.store.topology?.topology == Self.moved.members)
    #expect(again.staging.store.current == generation)
    #expect(try again.staging.commit("t2", now: again.now) == generation, "also after a restart")
  }

  @Test("a generation that brings a topology switches both with one rename")
  func together() throws {
    let directory = TemporaryDirectory(inMemory: true)
    let bench = try StagingBench(directory)
    try bench.deploy("t1")
    try bench.deploy("t2", topology: Self.moved)
    try bench.deploy("t3", GenerationStoreTests.second, sources: GenerationStoreTests.sources)
    #expect(bench.staging.store.topology?.serial == 3, "the file's own addresses are back")
    #expect(try bench.disk.link("topology") == "topologies/2", "an older one, which the generation overrules")
    bench.staging.store.close()
    let again = try StagingBench(directory).staging.store
    #expect(again.topology?.topology == Samples.topology.members)
    #expect(again.current?.record.topology == 3)
  }

  @Test("a plan against another topology is refused")
  func stale() throws {
    let bench = try StagingBench()
    try bench.deploy("t1")
    let base = DeploymentBase(manifest: Samples.manifest().digest, topology: Samples.topology.digest)
    try bench.deploy("t2", topology: Self.moved)
    #expect {
      try bench.staging.begin(
        Samples.request("t3", Samples.content(), serial: 3, base: base), from: Samples.deployer.publicKey,
        now: bench.now)
    } throws: {
      "\($0)"
        == "the plan was made against topology \(ContentDigest.short(Samples.topology.digest)), but topology "
        + "\(ContentDigest.short(Self.moved.digest)) is in force now: plan again"
    }
  }

  static let damages: [@Sendable (Disk) throws -> Void] = [
    { try $0.write([1, 2, 3], to: "topologies/2/topology", sync: false) },
    { try $0.write(Samples.topology.encode(), to: "topologies/2/topology", sync: false) },
    { try $0.remove("topologies/2/record") },
    { try $0.remove("topologies/2") },
    {
      try $0.remove("topology"); try $0.point("topology", at: "topologies/7")
    },
  ]

  @Test(
    "one that is damaged gives way to the one before it, which is told and repaired",
    arguments: damages.indices)
  func damaged(index: Int) throws {
    let directory = TemporaryDirectory(inMemory: true)
    let bench = try StagingBench(directory)
    try bench.deploy("t1")
    try bench.deploy("t2", topology: Self.moved)
    try Self.damages[index](bench.disk)
    bench.staging.store.close()
    let again = try StagingBench(directory)
    let store = again.staging.store
    #expect(
      store.degraded?.contains(index == 4 ? "topology 7" : "topology 2") == true, "\(store.degraded ?? "")")
    #expect(store.topology?.topology == (index == 4 ? Self.moved : Samples.topology).members)
    try again.deploy("t3", topology: Self.moved)
    #expect(store.degraded == nil)
    store.close()
    #expect(try StagingBench(directory).staging.store.topology?.topology == Self.moved.members)
    #expect(try StagingBench(directory).staging.store.degraded == nil)
  }

  @Test("those of kept generations and the newest ones are kept, others go")
  func collected() throws {
    let bench = try StagingBench()
    try bench.deploy("t0")
    for port in 1...20 { try bench.deploy("t\(port)", topology: Samples.topology(port: UInt16(port))) }
    let kept = try bench.disk.list("topologies").compactMap(GenerationStore.serial).sorted()
    #expect(kept == [1] + Array(21 - DeploymentLimits.generationsKept + 1...21))
  }

  @Test("a data directory of version 1.0 is served with the topology in its manifest, and then gets a number")
  func firstFormat() throws {
    let directory = TemporaryDirectory(inMemory: true)
    let bench = try StagingBench(directory)
    let generation = try bench.deploy("t1")
    let manifest = generation.manifest
    let entries =
      [Value.Entry("simplerpc_manifest", 1), Value.Entry("server", .string(manifest.server))]
      + Samples.topology.memberEntries + manifest.contentEntries
    let bytes = Value.map(entries).messagePack
    let record = DeploymentRecord(
      transaction: "t1", who: "me", preparedMilliseconds: 5, digest: ContentDigest.hex(of: bytes))
    try bench.disk.write(bytes, to: "gen/1/manifest", sync: false)
    try bench.disk.write(Array(record.text.utf8), to: "gen/1/record", sync: false)
    try bench.disk.remove("topologies")
    try bench.disk.remove("fence")
    bench.staging.store.close()
    let again = try StagingBench(directory)
    let store = again.staging.store
    #expect(store.degraded == nil)
    #expect(store.topology?.serial == 0 && store.topology?.topology == Samples.topology.members)
    #expect(store.current?.manifest == manifest)
    #expect(again.staging.status(now: 0).isUnsigned)
    // The file says the same, in another form: that is a new generation, once.
    #expect(try again.deploy("t2").serial == 2)
    #expect(store.topology?.serial == 1)
    #expect(store.current?.digest == manifest.digest)
    #expect(again.staging.status(now: 0).deployment?.serial == 1)
  }
}
