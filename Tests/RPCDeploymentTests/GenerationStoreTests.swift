import Glibc
import RPCKeys
import RPCProcedures
import RPCWire
import TestSupport
import Testing

@testable import RPCDeployment

@Suite("The store of generations")
struct GenerationStoreTests {
  static let changed = Array("def concat(n, s):\n    return 'changed'\n".utf8)
  static var second: Manifest { Samples.manifest([Samples.procedure("text", "concat", source: changed)]) }
  static var sources: [String: [UInt8]] {
    Samples.sources.merging([ContentDigest.hex(of: changed): changed]) { $1 }
  }

  @Test("serves after a restart what was committed, and knows the transaction still")
  func restart() throws {
    let directory = TemporaryDirectory(inMemory: true)
    try StagingBench(directory).deploy("t1")
    let again = try StagingBench(directory)
    #expect(again.staging.store.current?.manifest == Samples.manifest())
    #expect(again.staging.store.degraded == nil)
    #expect(try again.staging.commit("t1", now: again.now).serial == 1)
  }

  @Test("packages stay as long as a kept generation names them, what is not whole never")
  func environments() throws {
    let directory = TemporaryDirectory(inMemory: true)
    let file = Array("tiny\n".utf8)
    let digest = ContentDigest.hex(of: file)
    var provision = Provision()
    provision.requirements = digest
    var procedure = Samples.procedure("text", "concat", source: Self.changed)
    procedure.confinement.provision = provision
    let bench = try StagingBench(directory)
    let sources = Self.sources.merging([digest: file]) { $1 }
    try bench.deploy("t0", Samples.manifest([procedure]), sources: sources)
    let store = bench.staging.store
    let other = String(repeating: "0", count: 64)
    let kept = ["\(digest)-3.11", "\(digest)-3.9"]
    for name in kept + ["\(digest)-3.12.new", "\(digest)-3.9.old", "\(other)-3.11"] {
      try directory.write("x", to: "data/environments/\(name)/lib/file")
    }
    store.collectEnvironments()
    #expect(try store.disk.list("environments") == kept)
    for number in 1...DeploymentLimits.generationsKept {
      #expect(try store.disk.list("environments") == kept, "after \(number - 1)")
      try bench.deploy("t\(number)", number % 2 == 0 ? Self.second : Samples.manifest(), sources: sources)
      store.collectEnvironments()
    }
    #expect(try store.disk.list("environments") == [])
    // Whose removal was interrupted is not one any more.
    try directory.write("x", to: "data/environments/\(digest)-3.11.old/lib/file")
    store.close()
    let again = try StagingBench(directory)
    again.staging.store.collectEnvironments()
    #expect(try again.staging.store.disk.list("environments") == [])
  }

  @Test("is used by one server at a time")
  func lock() throws {
    let directory = TemporaryDirectory(inMemory: true)
    let first = try StagingBench(directory)
    #expect { try StagingBench(directory) } throws: {
      ($0 as? DeploymentError)?.kind == .locked && "\($0)".contains("process \(getpid())")
    }
    _ = first.now
  }

  /// Stops a second deployment before its n-th system call, then starts again.
  @Test("comes back whole from a crash before any call")
  func crashes() throws {
    var crashed = 0
    for stop in 0..<1000 {
      let directory = TemporaryDirectory(inMemory: true)
      let outcome = try Self.crash(directory, beforeStep: stop)
      let after = try StagingBench(directory)
      let store = after.staging.store
      #expect(store.degraded == nil, "stopped before step \(stop)")
      let manifest = try #require(store.current?.manifest)
      #expect([Samples.manifest(), Self.second].contains(manifest), "stopped before step \(stop)")
      #expect(try store.sources(of: manifest).count == manifest.sourceDigests.count)
      if outcome == .committed { #expect(manifest == Self.second, "stopped before step \(stop)") }
      #expect(try store.disk.list("incoming") == [])
      // And the next deployment works from there.
      let serial = try #require(store.current?.serial)
      let next = manifest == Self.second ? Samples.manifest() : Self.second
      #expect(try after.deploy("t3", next, sources: Self.sources).serial == serial + 1)
      if outcome == .finished { return #expect(crashed > 100) }
      crashed += 1
    }
    Issue.record("a deployment of more than 1000 calls")
  }

  enum Outcome { case interrupted, committed, finished }

  static func crash(_ directory: TemporaryDirectory, beforeStep stop: Int) throws -> Outcome {
    let bench = try StagingBench(directory)
    try bench.deploy("t1")
    var steps = 0
    var committed = false
    bench.disk.intercept = { _ in
      // Once it has stopped nothing more happens, as with a process that is gone.
      if steps >= stop { return EIO }
      steps += 1
      return 0
    }
    do {
      try bench.send("t2", try bench.begin("t2", second), sources: sources)
      try bench.prepare("t2")
      _ = try bench.staging.commit("t2", now: bench.now)
      committed = true
    } catch {}
    return steps < stop ? .finished : committed ? .committed : .interrupted
  }

  @Test("a commit that failed half way may be repeated", arguments: 0..<20)
  func repeatedCommit(stop: Int) throws {
    let bench = try StagingBench()
    try bench.deploy("t1")
    try bench.send("t2", try bench.begin("t2", Self.second), sources: Self.sources)
    try bench.prepare("t2")
    var steps = 0
    bench.disk.intercept = { _ in
      defer { steps += 1 }
      return steps == stop ? EIO : 0
    }
    _ = try? bench.staging.commit("t2", now: bench.now)
    #expect(try bench.staging.commit("t2", now: bench.now).serial == 2)
    #expect(try StagingBench.reopened(bench).store.current?.serial == 2)
  }

  @Test("goes back to the previous generation when a source is damaged, says so, and heals")
  func damagedObject() throws {
    let directory = TemporaryDirectory(inMemory: true)
    let digest = ContentDigest.hex(of: Self.changed)
    var path = ""
    do {
      let bench = try StagingBench(directory)
      try bench.deploy("t1")
      try bench.deploy("t2", Self.second, sources: Self.sources)
      path = bench.staging.store.objectPath(digest)
    }
    chmod(directory.path + "/data/" + path, 0o600)
    try directory.write("def concat(n, s): evil", to: "data/" + path)
    let bench = try StagingBench(directory)
    let store = bench.staging.store
    #expect(store.current?.serial == 1)
    #expect(store.degraded?.contains("generation 2 is damaged") == true)
    #expect(store.degraded?.contains("serving generation 1") == true)
    #expect(bench.staging.status(now: 0).degraded != nil)
    // The damaged source is asked for again, and the serial is not used twice.
    #expect(try bench.begin("t3", Self.second) == [digest])
    try bench.send("t3", [digest], sources: Self.sources)
    try bench.prepare("t3")
    #expect(try bench.staging.commit("t3", now: bench.now).serial == 3)
    #expect(store.degraded == nil)
  }

  static let damages: [@Sendable (Disk) throws -> Void] = [
    { try $0.write([1, 2, 3], to: "gen/2/manifest", sync: false) },
    { try $0.remove("gen/2/manifest") },
    { try $0.remove("gen/2") },
    { try $0.write(Array("junk".utf8), to: "gen/2/record", sync: false) },
    { try $0.write(Samples.manifest([]).encode(), to: "gen/2/manifest", sync: false) },
  ]

  @Test("goes back to the previous generation when the manifest is damaged", arguments: damages.indices)
  func damagedManifest(index: Int) throws {
    let directory = TemporaryDirectory(inMemory: true)
    do {
      let bench = try StagingBench(directory)
      try bench.deploy("t1")
      try bench.deploy("t2", Self.second, sources: Self.sources)
    }
    try Self.damages[index](try Disk(directory: directory.path + "/data"))
    let bench = try StagingBench(directory)
    #expect(bench.staging.store.current?.serial == 1)
    #expect(bench.staging.store.degraded != nil)
    #expect(try bench.deploy("t3", Self.second, sources: Self.sources).serial == 3)
  }

  @Test("a missing link 'current' is reported and the newest whole generation is served")
  func missingLink() throws {
    let directory = TemporaryDirectory(inMemory: true)
    do {
      let bench = try StagingBench(directory)
      try bench.deploy("t1")
      try bench.deploy("t2", Self.second, sources: Self.sources)
    }
    try Disk(directory: directory.path + "/data").remove("current")
    let store = try StagingBench(directory).staging.store
    #expect(store.current != nil)
    #expect(store.degraded?.contains("'current' is missing") == true)
  }

  @Test("when nothing is whole it says so and takes a new deployment")
  func nothingWhole() throws {
    let directory = TemporaryDirectory(inMemory: true)
    try StagingBench(directory).deploy("t1")
    try Disk(directory: directory.path + "/data").remove("objects")
    let bench = try StagingBench(directory)
    #expect(bench.staging.store.current == nil)
    #expect(bench.staging.store.degraded?.contains("deploy again") == true)
    #expect(try bench.deploy("t2").serial == 2)
  }

  @Test("keeps a bounded number of generations, and only the sources that they name")
  func garbage() throws {
    let bench = try StagingBench()
    var all: [String] = []
    for number in 1...DeploymentLimits.generationsKept + 3 {
      let source = Array("def concat(n): return \(number)".utf8)
      all.append(ContentDigest.hex(of: source))
      try bench.deploy(
        "t\(number)", Samples.manifest([Samples.procedure("text", "concat", source: source)]),
        sources: [all[number - 1]: source])
    }
    let store = bench.staging.store
    #expect(
      try store.disk.list("gen").compactMap(GenerationStore.serial).sorted()
        == Array(4...DeploymentLimits.generationsKept + 3))
    #expect(all.map { store.holds($0) } == [false, false, false] + all.dropFirst(3).map { _ in true })
  }

  @Test("sources are read-only and the directory is the owner's alone")
  func modes() throws {
    let bench = try StagingBench()
    try bench.deploy("t1")
    var status = stat()
    stat(
      bench.directory.path + "/data/"
        + bench.staging.store.objectPath(ContentDigest.hex(of: Samples.sourceA)),
      &status)
    #expect(status.st_mode & 0o777 == 0o444)
    stat(bench.staging.store.directory, &status)
    #expect(status.st_mode & 0o777 == 0o700)
  }

  @Test("what was committed and given up is in the audit log, a line each")
  func audit() throws {
    let bench = try StagingBench()
    try bench.deploy("t1")
    _ = try bench.staging.begin(
      Samples.request(
        "t2", Samples.content(Samples.manifest([])), serial: 2, force: true, who: "eve\nforged line"),
      from: Samples.deployer.publicKey, now: 0)
    bench.staging.abort("t2")
    let bytes = try #require(try bench.disk.read("audit.log", limit: 10_000))
    let lines = String(decoding: bytes, as: UTF8.self).split(separator: "\n")
    #expect(lines.count == 2)
    #expect(lines[0].contains("commit generation=1"))
    #expect(lines[1].contains("abort transaction=t2 who=eve forged line"))
  }

  @Test("a directory that cannot be made is an error that names it")
  func unusable() {
    #expect { try GenerationStore(directory: "/proc/nowhere/data") } throws: {
      "\($0)".contains("/proc/nowhere")
    }
    #expect(throws: DeploymentError.self) { try GenerationStore(directory: "") }
  }
}

extension StagingBench {
  /// The store of a bench as a restart finds it.
  static func reopened(_ bench: StagingBench) throws -> Staging {
    // The lock belongs to the first store, which the caller still holds: look at a copy of the directory.
    let copy = TemporaryDirectory(inMemory: true)
    let path = copy.path + "/data"
    let status = system("cp -a '\(bench.staging.store.directory)' '\(path)'")
    try #require(status == 0)
    let store = try GenerationStore(directory: path)
    store.recover(as: Samples.serverKey)
    return Staging(store: store) { 0 }
  }
}
