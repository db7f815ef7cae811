import Glibc
import RPCProcedures
import RPCWire
import TestSupport
import Testing

@testable import RPCDeployment

/// Each system call of the store fails, once or from there on, with each error. Whatever fails: what is served is the
/// old generation or the new one, the status says which, nothing that is in force or kept loses a source, and the next
/// run gives the server what it was to have.
@Suite("A disk that fails")
struct DiskFaultTests {
  static let errors: [Int32] = [EIO, EMFILE, ENOSPC]

  enum Extent: CaseIterable {
    case once
    /// Until the run is over, its undoing included.
    case fromThereOn
  }

  /// What a run puts in force.
  enum Change: CaseIterable {
    case procedures
    case topology
    case both

    var content: DeploymentContent {
      Samples.content(
        self == .topology ? GenerationStoreTests.second : third,
        topology: self == .procedures ? Samples.topology : Samples.topology(port: 9))
    }
  }

  static let before = Samples.content(GenerationStoreTests.second)

  /// What is in force, nil for nothing.
  static func inForce(_ store: GenerationStore) -> DeploymentContent? {
    guard let current = store.current, let topology = store.topology else { return nil }
    return DeploymentContent(manifest: current.manifest, topology: topology.topology)
  }

  /// What comes after the run that met the failure.
  enum Sequel: CaseIterable { case run, restart }

  static let third = Samples.manifest([
    Samples.procedure("text", "concat", source: thirdSource), Samples.procedure("text", "add"),
  ])
  static let thirdSource = Array("def concat(n, s):\n    return 'third'\n".utf8)
  static var sources: [String: [UInt8]] {
    GenerationStoreTests.sources.merging([ContentDigest.hex(of: thirdSource): thirdSource]) { $1 }
  }

  /// Two generations on disk.
  static func prepared(_ directory: TemporaryDirectory) throws -> StagingBench {
    let bench = try StagingBench(directory)
    try bench.deploy("t1")
    try bench.deploy("t2", GenerationStoreTests.second, sources: sources)
    return bench
  }

  /// A run as the initializer makes it: the commit is tried again, and what fails is undone.
  static func run(_ bench: StagingBench, _ id: String, _ change: Change) -> Generation? {
    do {
      let content = change.content
      try bench.send(
        id, try bench.begin(id, content.manifest, topology: content.topology), sources: sources)
      try bench.prepare(id)
      for _ in 1..<5 {
        if let generation = try? bench.staging.commit(id, now: bench.now) { return generation }
      }
      return try bench.staging.commit(id, now: bench.now)
    } catch {
      bench.staging.abort(id)
      return nil
    }
  }

  /// What must hold at any time.
  static func check(_ bench: StagingBench, _ comment: Comment) throws {
    let store = bench.staging.store
    let status = bench.staging.status(now: bench.now)
    #expect(status.generation == store.current?.serial ?? 0, comment)
    #expect(status.digest == store.current?.digest ?? "", comment)
    #expect(status.topology == store.topology?.serial, comment)
    #expect(status.topologyDigest == store.topology?.topology.digest, comment)
    if let current = store.current {
      #expect(try store.sources(of: current.manifest).count == current.manifest.sourceDigests.count, comment)
    }
    for serial in try store.disk.list("gen").compactMap(GenerationStore.serial) {
      let manifest: Manifest
      do throws(DeploymentError) {
        manifest = try store.readGeneration(serial).generation.manifest
      } catch {
        // What could neither be switched to nor removed.
        #expect(error.message == "this server has not accepted it", comment)
        #expect(serial != store.current?.serial && serial != store.previousSerial, comment)
        continue
      }
      #expect(throws: Never.self, comment) { try store.sources(of: manifest) }
    }
  }

  /// The next run, on a disk that works, and a restart after it.
  static func converge(
    _ bench: StagingBench, _ directory: TemporaryDirectory, _ comment: Comment,
    to change: Change = .procedures
  ) throws {
    let store = bench.staging.store
    if inForce(store) != change.content || store.degraded != nil {
      #expect(run(bench, "next", change) != nil, comment)
    }
    #expect(inForce(store) == change.content, comment)
    #expect(store.degraded == nil, comment)
    try check(bench, comment)
    store.close()
    let again = try StagingBench(directory)
    #expect(inForce(again.staging.store) == change.content, comment)
    #expect(again.staging.store.degraded == nil, comment)
    #expect(again.staging.store.current?.serial == store.current?.serial, comment)
    #expect(again.staging.store.topology?.serial == store.topology?.serial, comment)
    try check(again, comment)
  }

  @Test("during a deployment", arguments: Change.allCases, Extent.allCases)
  func deployment(change: Change, extent: Extent) throws {
    // Each call fails with one of the errors and is followed by one of the sequels, others each time.
    let combinations = Self.errors.flatMap { code in Sequel.allCases.map { (code, $0) } }
    let first = Int.random(in: combinations.indices)
    do {
      var target = 0
      while true {
        let (code, sequel) = combinations[(first + target) % combinations.count]
        let directory = TemporaryDirectory(inMemory: true)
        let bench = try Self.prepared(directory)
        var count = 0
        var failed = ""
        bench.disk.intercept = { call in
          defer { count += 1 }
          guard extent == .once ? count == target : count >= target else { return 0 }
          if count == target { failed = "\(call.name) \(call.path)" }
          return code
        }
        let generation = Self.run(bench, "t3", change)
        bench.disk.intercept = nil
        guard count > target else { break }
        let comment: Comment =
          "call \(target), \(failed), error \(code), \(change), \(extent), then \(sequel)"
        let store = bench.staging.store
        try Self.check(bench, comment)
        let served = try #require(Self.inForce(store), comment)
        #expect(served == (generation == nil ? Self.before : change.content), comment)
        switch sequel {
        case .run: try Self.converge(bench, directory, comment, to: change)
        case .restart:
          store.close()
          let again = try StagingBench(directory)
          let found = try #require(Self.inForce(again.staging.store), comment)
          // Where a restart may find the other one, that was said before.
          #expect(found == served || (store.degraded != nil && found == change.content), comment)
          #expect(again.staging.store.degraded == nil, comment)
          try Self.check(again, comment)
          try Self.converge(again, directory, comment, to: change)
        }
        target += 1
      }
      #expect(target > (change == .topology ? 50 : 100))
    }
  }

  @Test("at the start", arguments: errors, Extent.allCases)
  func start(code: Int32, extent: Extent) throws {
    var target = 0
    var refused = 0
    while true {
      let directory = TemporaryDirectory(inMemory: true)
      try Self.prepared(directory).staging.store.close()
      var count = 0
      var failed = ""
      let intercept: Disk.Intercept = { call in
        defer { count += 1 }
        guard extent == .once ? count == target : count >= target else { return 0 }
        if count == target { failed = "\(call.name) \(call.path)" }
        return code
      }
      let bench = try? StagingBench(directory, intercept: intercept)
      guard count > target else { break }
      let comment: Comment = "call \(target), \(failed), error \(code), \(extent)"
      if let bench {
        bench.disk.intercept = nil
        let store = bench.staging.store
        #expect(store.current?.serial == 2 || store.degraded != nil, comment)
        #expect(bench.staging.status(now: 0).degraded == store.degraded, comment)
        try Self.check(bench, comment)
        try Self.converge(bench, directory, comment)
      } else {
        // Refused with a message, and nothing is lost.
        refused += 1
        try Self.converge(try StagingBench(directory), directory, comment)
      }
      target += 1
    }
    #expect(target > 20)
    #expect(refused < 10)
  }

  @Test("a failed commit that is given up is undone on the disk too")
  func undone() throws {
    let directory = TemporaryDirectory(inMemory: true)
    let bench = try Self.prepared(directory)
    try bench.send("t3", try bench.begin("t3", Self.third), sources: Self.sources)
    try bench.prepare("t3")
    var isRenamed = false
    bench.disk.intercept = { call in
      if call.name == "rename", call.path == "current.new" { isRenamed = true }
      return isRenamed && call.name == "fsync" ? EIO : 0
    }
    for _ in 1...3 {
      #expect { try bench.staging.commit("t3", now: bench.now) } throws: {
        ($0 as? DeploymentError)?.kind == .io
      }
      #expect(try bench.disk.link("current") == "gen/3")
      #expect(bench.staging.status(now: bench.now).generation == 2)
    }
    bench.disk.intercept = nil
    bench.staging.abort("t3")
    #expect(try bench.disk.link("current") == "gen/2")
    #expect(bench.staging.store.degraded == nil)
    try Self.converge(bench, directory, "after the undoing")
  }

  @Test("after an error nothing is collected until everything was read again")
  func collectsNothing() throws {
    let bench = try Self.prepared(TemporaryDirectory(inMemory: true))
    let store = bench.staging.store
    let stray = "objects/ab/" + String(repeating: "c", count: 62)
    try store.disk.makeDirectory("objects/ab")
    try store.disk.write([1], to: stray, sync: false)
    store.disk.hasFailed = true
    store.collectGarbage()
    #expect(try store.disk.kind(stray) == .file)
    // Reading fails: still nothing.
    store.disk.intercept = { $0.name == "read" ? EIO : 0 }
    store.collectGarbage()
    store.disk.intercept = nil
    #expect(try store.disk.kind(stray) == .file)
    store.collectGarbage()
    #expect(try store.disk.kind(stray) == .file)
    store.collectGarbage()
    #expect(try store.disk.kind(stray) == nil)
    try Self.check(bench, "afterwards")
  }
}
