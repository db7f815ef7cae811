import Foundation
import RPCKeys
import RPCWire
import TestSupport
import Testing

@testable import RPCDeployment

/// A server signs what it accepted and finds at its start that something else is there.
@Suite("What a server signed")
struct AcceptanceTests {
  /// Two generations, the second with a topology of its own, and a topology by itself after that.
  private static func prepared(_ directory: TemporaryDirectory) throws {
    let bench = try DiskFaultTests.prepared(directory)
    try bench.deploy("t3", GenerationStoreTests.second, topology: Samples.topology(port: 9))
    bench.staging.store.close()
  }

  static let files = [
    "gen/2/manifest", "gen/2/record", "topologies/2/topology", "topologies/2/record", "fence",
  ]

  @Test("is found to be changed, whichever byte that is, and what is whole is served", arguments: files)
  func anyByte(file: String) throws {
    let directory = TemporaryDirectory(inMemory: true)
    try Self.prepared(directory)
    let url = URL(fileURLWithPath: "\(directory.path)/data/\(file)")
    let whole = try Data(contentsOf: url)
    #expect(whole.count > 100)
    // One byte of each few, others each time; those where lines end always.
    let step = 13
    let first = Int.random(in: 0..<step)
    for index in whole.indices where (index + first) % step == 0 || whole[index] == 10 {
      var changed = whole
      // A letter becomes its neighbour, or the other case of itself.
      changed[index] ^= index % 2 == 0 ? 1 : 0x20
      try changed.write(to: url)
      let store = try StagingBench(directory).staging.store
      let comment: Comment = "byte \(index) of \(file)"
      #expect(store.degraded != nil, comment)
      #expect(store.current?.serial == (file.hasPrefix("gen") ? 1 : 2), comment)
      #expect(store.topology?.serial == (file == "fence" ? 2 : 1) || file.hasPrefix("gen"), comment)
      store.close()
    }
    try whole.write(to: url)
    let bench = try StagingBench(directory)
    #expect(bench.staging.store.degraded == nil)
    #expect(bench.staging.store.highestSerial == 3)
  }

  @Test("is found to be cut short or to have more behind it", arguments: files)
  func otherLength(file: String) throws {
    let directory = TemporaryDirectory(inMemory: true)
    try Self.prepared(directory)
    let url = URL(fileURLWithPath: "\(directory.path)/data/\(file)")
    let whole = try Data(contentsOf: url)
    for changed in [
      whole + [10], whole + [0], Data([10]) + whole, whole.dropLast(), whole.dropFirst(), Data(),
    ] {
      try changed.write(to: url)
      let store = try StagingBench(directory).staging.store
      #expect(store.degraded != nil, "\(changed.count) bytes instead of \(whole.count)")
      store.close()
    }
  }

  @Test("is served whole where links lead to something older, which is told")
  func links() throws {
    let directory = TemporaryDirectory(inMemory: true)
    try Self.prepared(directory)
    let disk = try Disk(directory: directory.path + "/data")
    try disk.remove("topology")
    var store = try StagingBench(directory).staging.store
    #expect(store.degraded?.contains("topology 2 was in force last") == true, "\(store.degraded ?? "")")
    #expect(store.topology?.serial == 2)
    store.close()
    let bench = try StagingBench(directory)
    try bench.deploy("t4", DiskFaultTests.third, sources: DiskFaultTests.sources)
    bench.staging.store.close()
    try disk.point("current", at: "gen/1")
    store = try StagingBench(directory).staging.store
    #expect(
      store.degraded?.contains("'current' leads to generation 1, but 3 was in force last") == true,
      "\(store.degraded ?? "")")
    #expect(store.current?.serial == 3)
    store.close()
    // And where it is not there any more, that is told too.
    try disk.remove("gen/3")
    store = try StagingBench(directory).staging.store
    #expect(store.current?.serial == 1)
    #expect(store.degraded?.contains("was in force last") == true, "\(store.degraded ?? "")")
    #expect(store.highestSerial == 4, "it is known still")
  }

  @Test("and where the fence was taken away too, which is there before anything else that is signed")
  func withoutFence() throws {
    let directory = TemporaryDirectory(inMemory: true)
    try Self.prepared(directory)
    let disk = try Disk(directory: directory.path + "/data")
    try disk.remove("fence")
    try disk.point("current", at: "gen/1")
    try disk.remove("topology")
    let store = try StagingBench(directory).staging.store
    #expect(store.degraded?.contains("'fence', is missing") == true, "\(store.degraded ?? "")")
    #expect(store.current?.serial == 2)
    #expect(store.topology?.serial == 2)
    #expect(!directory.exists("data/fence"), "what is degraded is not made to look whole")
    store.close()
  }

  @Test("a fence that cannot be read is no way back to something older")
  func damagedFence() throws {
    let directory = TemporaryDirectory(inMemory: true)
    try Self.prepared(directory)
    let disk = try Disk(directory: directory.path + "/data")
    try disk.write([1, 2, 3], to: "fence", sync: false)
    try disk.point("current", at: "gen/1")
    let store = try StagingBench(directory).staging.store
    #expect(store.degraded?.contains("'fence', cannot be used") == true, "\(store.degraded ?? "")")
    #expect(store.current?.serial == 2)
    #expect(directory.exists("data/gen/2/manifest"))
  }

  @Test("a topology that came after the one generation is served without the fence too, and that is told")
  func topologyWithoutFence() throws {
    let directory = TemporaryDirectory(inMemory: true)
    let bench = try StagingBench(directory)
    try bench.deploy("t1")
    try bench.deploy("t2", topology: Samples.topology(port: 9))
    bench.staging.store.close()
    let disk = try Disk(directory: directory.path + "/data")
    for name in ["fence", "topology"] { try disk.remove(name) }
    let store = try StagingBench(directory).staging.store
    #expect(store.degraded?.contains("'fence', is missing") == true, "\(store.degraded ?? "")")
    #expect(store.topology?.serial == 2)
  }

  @Test(
    "a server that ended in its first signed deployment, at any step, serves what was in force",
    arguments: 0..<40)
  func firstSigned(stop: Int) throws {
    let directory = TemporaryDirectory(inMemory: true)
    try Self.unsigned(directory)
    let bench = try StagingBench(directory)
    #expect(bench.staging.status(now: 0).isUnsigned && bench.staging.store.degraded == nil)
    var steps = 0
    bench.disk.intercept = { _ in
      steps += 1
      return steps > stop ? EIO : 0
    }
    let committed =
      (try? bench.deploy("t2", GenerationStoreTests.second, sources: DiskFaultTests.sources)) != nil
    // Nothing more happens, as with a process that is gone.
    bench.staging.store.close()
    let again = try StagingBench(directory)
    let store = again.staging.store
    #expect(store.degraded == nil, "\(store.degraded ?? "") after \(steps) steps")
    #expect(store.current?.serial == 1 && !committed || store.current?.serial == 2)
    #expect(again.staging.status(now: 0).isUnsigned == (store.current?.serial == 1))
    try again.deploy("t3", DiskFaultTests.third, sources: DiskFaultTests.sources)
    store.close()
    #expect(try StagingBench(directory).staging.store.degraded == nil)
  }

  @Test("without its fence a server is not led back to what was there before the first signed deployment")
  func beforeTheFirst() throws {
    let directory = TemporaryDirectory(inMemory: true)
    try Self.unsigned(directory)
    let bench = try StagingBench(directory)
    try bench.deploy("t2", GenerationStoreTests.second, sources: DiskFaultTests.sources)
    bench.staging.store.close()
    let disk = try Disk(directory: directory.path + "/data")
    try disk.remove("fence")
    try disk.point("current", at: "gen/1")
    let store = try StagingBench(directory).staging.store
    #expect(store.current?.serial == 2)
    #expect(store.degraded?.contains("'fence', is missing") == true, "\(store.degraded ?? "")")
  }

  /// One generation as version 1.1.0 left it.
  private static func unsigned(_ directory: TemporaryDirectory) throws {
    let first = try StagingBench(directory)
    try first.deploy("t1")
    first.staging.store.close()
    let disk = try Disk(directory: directory.path + "/data")
    for path in ["gen/1/record", "topologies/1/record"] {
      let text = String(decoding: try disk.read(path, limit: 100_000) ?? [], as: UTF8.self)
      let lines = text.split(separator: "\n").filter { line in
        !["deployment", "statement", "signature", "accept"].contains { line.hasPrefix($0) }
      }
      try disk.write(Array(lines.map { $0 + "\n" }.joined().utf8), to: path, sync: false)
    }
    try disk.remove("fence")
  }

  @Test("after damage the newest generation that is whole is served, wherever 'previous' leads")
  func newestWhole() throws {
    let directory = TemporaryDirectory(inMemory: true)
    let bench = try DiskFaultTests.prepared(directory)
    try bench.deploy("t3", DiskFaultTests.third, sources: DiskFaultTests.sources)
    bench.staging.store.close()
    let disk = try Disk(directory: directory.path + "/data")
    try disk.write([1, 2, 3], to: "gen/3/manifest", sync: false)
    try disk.point("previous", at: "gen/1")
    let store = try StagingBench(directory).staging.store
    #expect(store.current?.serial == 2)
    #expect(store.degraded?.contains("serving generation 2") == true, "\(store.degraded ?? "")")
  }

  @Test("a generation in the place of another one is refused, though this server signed it")
  func moved() throws {
    let directory = TemporaryDirectory(inMemory: true)
    try Self.prepared(directory)
    let folder = "\(directory.path)/data/gen"
    try FileManager.default.removeItem(atPath: "\(folder)/2")
    try FileManager.default.copyItem(atPath: "\(folder)/1", toPath: "\(folder)/2")
    let store = try StagingBench(directory).staging.store
    #expect(store.current?.serial == 1)
    #expect(store.degraded?.contains("generation 2 is damaged") == true, "\(store.degraded ?? "")")
  }

  @Test("what is not signed is not served once a signed deployment was there")
  func unsigned() throws {
    let directory = TemporaryDirectory(inMemory: true)
    let bench = try StagingBench(directory)
    try bench.deploy("t1")
    let record = try #require(bench.staging.store.current?.record)
    var older = record
    older.signed = nil
    let place = try Disk(directory: directory.path + "/data")
    func forge() throws { try place.write(Array(older.text.utf8), to: "gen/1/record", sync: false) }
    bench.staging.store.close()
    // As a version before 1.1 left it: nothing here was ever signed.
    try forge()
    try place.remove("fence")
    try place.remove("topologies")
    var again = try StagingBench(directory)
    #expect(again.staging.store.current?.serial == 1)
    #expect(again.staging.status(now: 0).isUnsigned)
    // The next deployment signs it, also where nothing else changes.
    try again.deploy("t2")
    #expect(!again.staging.status(now: 0).isUnsigned)
    again.staging.store.close()
    try place.remove("gen/2")
    again = try StagingBench(directory)
    #expect(again.staging.store.current == nil)
    #expect(again.staging.store.degraded?.contains("gen") == true)
    try again.deploy("t3")
    #expect(again.staging.store.degraded == nil)
  }

  @Test(
    "with another key of its own a server serves nothing that it accepted before, and takes the next deployment"
  )
  func otherKey() throws {
    let directory = TemporaryDirectory(inMemory: true)
    try Self.prepared(directory)
    let store = try GenerationStore(directory: directory.path + "/data")
    store.recover(as: Samples.signer(3))
    #expect(store.current == nil)
    #expect(store.degraded?.contains("it was accepted with another key than this server's") == true)
    #expect(store.highestSerial == 0)
    let staging = Staging(store: store) { 0 }
    let content = Samples.content()
    let request = Samples.request("t9", content, serial: 4, for: Samples.signer(3).publicKey)
    let wanted = try staging.begin(request, from: Samples.deployer.publicKey, now: 0)
    for digest in wanted {
      _ = try staging.put(
        "t9", digest: digest, offset: 0, bytes: Samples.sources[digest]!, last: true, now: 0)
    }
    if try staging.startLoading("t9", now: 0) != nil {
      try staging.finishLoading("t9", succeeded: true, now: 0)
    }
    #expect(try staging.commit("t9", now: 0).serial == 3)
    #expect(store.degraded == nil)
  }
}
