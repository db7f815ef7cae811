import RPCKeys
import RPCNetwork
import RPCProcedures
import RPCWire
import TestSupport
import Testing

@testable import RPCDeployment

/// A store with a staging on it, and the steps of a whole deployment.
final class StagingBench {
  let directory: TemporaryDirectory
  let staging: Staging
  var now: UInt64 = 1_000_000_000

  var disk: Disk { staging.store.disk }

  init(
    _ directory: TemporaryDirectory = TemporaryDirectory(inMemory: true), intercept: Disk.Intercept? = nil
  ) throws {
    self.directory = directory
    let store = try GenerationStore(directory: directory.path + "/data", intercept: intercept)
    store.recover(as: Samples.serverKey)
    staging = Staging(store: store) { 1_700_000_000_000 }
  }

  @discardableResult
  func begin(
    _ id: String, _ manifest: Manifest = Samples.manifest(), topology: Topology = Samples.topology,
    base: String? = nil, force: Bool = false
  ) throws -> [String] {
    let base = DeploymentBase(
      manifest: base ?? staging.store.current?.digest ?? "", topology: staging.store.topology?.digest ?? "")
    // The same deployment has the same serial, until it is in force.
    let request = Samples.request(
      id, Samples.content(manifest, topology: topology), serial: staging.store.highestSerial + 1, base: base,
      force: force)
    return try staging.begin(request, from: Samples.deployer.publicKey, now: now)
  }

  func send(_ id: String, _ digests: [String], sources: [String: [UInt8]] = Samples.sources) throws {
    for digest in digests {
      let bytes = try #require(sources[digest])
      _ = try staging.put(id, digest: digest, offset: 0, bytes: bytes, last: true, now: now)
    }
  }

  func prepare(_ id: String) throws {
    guard try staging.startLoading(id, now: now) != nil else { return }
    try staging.finishLoading(id, succeeded: true, now: now)
  }

  @discardableResult
  func deploy(
    _ id: String, _ manifest: Manifest = Samples.manifest(), topology: Topology = Samples.topology,
    sources: [String: [UInt8]] = Samples.sources
  ) throws -> Generation {
    try send(id, try begin(id, manifest, topology: topology), sources: sources)
    try prepare(id)
    return try staging.commit(id, now: now)
  }
}

@Suite("A deployment on its server")
struct StagingTests {
  @Test("goes from begin to commit and is what the server serves afterwards")
  func whole() throws {
    let bench = try StagingBench()
    #expect(bench.staging.status(now: bench.now) == DeploymentStatus())
    let wanted = try bench.begin("t1")
    #expect(wanted == Samples.sources.keys.sorted())
    try bench.send("t1", wanted)
    let work = try #require(try bench.staging.startLoading("t1", now: bench.now))
    #expect(work.units.map(\.procedure.signature.name) == ["add", "concat"])
    #expect(work.units.map(\.source) == [Samples.sourceB, Samples.sourceA])
    try bench.staging.finishLoading("t1", succeeded: true, now: bench.now)
    #expect(bench.staging.status(now: bench.now).preparedTransaction == "t1")
    #expect(bench.staging.store.current == nil)
    let generation = try bench.staging.commit("t1", now: bench.now)
    #expect(generation.serial == 1)
    let status = bench.staging.status(now: bench.now)
    #expect(status.generation == 1)
    #expect(status.digest == Samples.manifest().digest)
    #expect(status.lock == nil)
    #expect(status.lastDeploymentMilliseconds == 1_700_000_000_000)
  }

  @Test("sources that are here are not asked for again")
  func contentAddressed() throws {
    let bench = try StagingBench()
    try bench.deploy("t1")
    let more = Samples.manifest([
      Samples.procedure("text", "concat"), Samples.procedure("text", "other", [.float]),
    ])
    #expect(try bench.begin("t2", more) == [])
    try bench.prepare("t2")
    #expect(try bench.staging.commit("t2", now: bench.now).serial == 2)
    #expect(bench.staging.status(now: bench.now).previous == 1)
  }

  @Test("every step may be repeated with the same answer")
  func repeatable() throws {
    let bench = try StagingBench()
    let wanted = try bench.begin("t1")
    #expect(try bench.begin("t1") == wanted)
    try bench.send("t1", [wanted[0]])
    try bench.send("t1", [wanted[0]])
    #expect(try bench.begin("t1") == [wanted[1]])
    try bench.send("t1", [wanted[1]])
    try bench.prepare("t1")
    try bench.prepare("t1")
    #expect(try bench.staging.commit("t1", now: bench.now).serial == 1)
    #expect(try bench.staging.commit("t1", now: bench.now).serial == 1)
    bench.staging.abort("t1")
    #expect(bench.staging.store.current?.serial == 1)
  }

  @Test("a source arrives in chunks and goes on from where it stopped")
  func resumable() throws {
    let bench = try StagingBench()
    let wanted = try bench.begin("t1", Samples.manifest([Samples.procedure("text", "concat")]))
    let bytes = Samples.sourceA
    func put(_ range: Range<Int>, last: Bool = false) throws -> Int {
      try bench.staging.put(
        "t1", digest: wanted[0], offset: range.lowerBound, bytes: Array(bytes[range]), last: last,
        now: bench.now)
    }
    #expect(try put(0..<5) == 5)
    #expect(try put(0..<5) == 5)  // a repeated chunk
    #expect(try put(9..<12) == 5)  // a gap
    #expect(try put(5..<bytes.count, last: true) == bytes.count)
    #expect(try put(5..<bytes.count, last: true) == bytes.count)
    try bench.prepare("t1")
    let generation = try bench.staging.commit("t1", now: bench.now)
    #expect(try bench.staging.store.sources(of: generation.manifest) == [wanted[0]: bytes])
  }

  @Test("a source that is empty is a source")
  func empty() throws {
    let bench = try StagingBench()
    let generation = try bench.deploy(
      "t1", Samples.manifest([Samples.procedure("text", "x", source: [])]),
      sources: [ContentDigest.hex(of: []): []])
    #expect(try bench.staging.store.source(generation.manifest.procedures[0].digest) == [])
  }

  @Test("a source whose digest does not fit is refused and may come again")
  func wrongDigest() throws {
    let bench = try StagingBench()
    let wanted = try bench.begin("t1")
    let bad = Array(Samples.sources[wanted[0]]!.reversed())
    #expect { try bench.send("t1", [wanted[0]], sources: [wanted[0]: bad]) } throws: {
      ($0 as? DeploymentError)?.kind == .malformed
    }
    try bench.send("t1", wanted)
    try bench.prepare("t1")
    #expect(try bench.staging.commit("t1", now: bench.now).serial == 1)
  }

  @Test("bounds hold just below and not just above")
  func bounds() throws {
    let bench = try StagingBench()
    let size = DeploymentLimits.sourceBytesMax
    let source = [UInt8](repeating: 0x20, count: size)
    let digest = ContentDigest.hex(of: source)
    try bench.begin("t1", Samples.manifest([Samples.procedure("text", "x", source: source)]))
    let chunk = DeploymentLimits.chunkBytesMax
    func put(_ offset: Int, _ count: Int, last: Bool = false) throws -> Int {
      try bench.staging.put(
        "t1", digest: digest, offset: offset, bytes: Array(source.prefix(count)), last: last, now: bench.now)
    }
    func isTooLarge(_ error: any Error) -> Bool { (error as? DeploymentError)?.kind == .tooLarge }
    #expect { try put(0, chunk + 1) } throws: { isTooLarge($0) }
    for offset in stride(from: 0, to: size - chunk, by: chunk) { _ = try put(offset, chunk) }
    let end = size - chunk
    _ = try put(end, chunk - 1)
    #expect {
      try bench.staging.put(
        "t1", digest: digest, offset: size - 1, bytes: [0, 0], last: true, now: bench.now)
    } throws: { isTooLarge($0) }
    #expect(try put(size - 1, 1, last: true) == size)
    try bench.prepare("t1")
    #expect(try bench.staging.commit("t1", now: bench.now).serial == 1)
  }

  @Test("a source that nobody asked for is refused")
  func unwanted() throws {
    let bench = try StagingBench()
    try bench.begin("t1")
    let digest = ContentDigest.hex(of: [1])
    #expect { try bench.send("t1", [digest], sources: [digest: [1]]) } throws: {
      "\($0)".contains("not asked for")
    }
  }

  @Test("a plan made against another generation is stale, unless forced")
  func stale() throws {
    let bench = try StagingBench()
    try bench.deploy("t1")
    let fresh = Samples.manifest([])
    #expect { try bench.begin("t2", fresh, base: "") } throws: {
      ($0 as? DeploymentError)?.kind == .stale && "\($0)".contains("plan again")
    }
    #expect(throws: Never.self) { try bench.begin("t2", fresh, base: "", force: true) }
  }

  @Test("a second deployment waits for the first, or for its silence")
  func lock() throws {
    let bench = try StagingBench()
    try bench.begin("t1")
    #expect { try bench.begin("t2") } throws: {
      ($0 as? DeploymentError)?.kind == .locked && "\($0)".contains("tester") && "\($0)".contains("30 s")
    }
    // Each step renews the lease.
    bench.now += DeploymentLimits.leaseNanoseconds - 1
    try bench.send("t1", [Samples.sources.keys.sorted()[0]])
    bench.now += DeploymentLimits.leaseNanoseconds - 1
    #expect(throws: DeploymentError.self) { try bench.begin("t2") }
    let lock = bench.staging.status(now: bench.now).lock
    #expect(lock?.who == "tester")
    bench.now += 1
    try bench.begin("t2")
    #expect { try bench.send("t1", [Samples.sources.keys.sorted()[1]]) } throws: {
      ($0 as? DeploymentError)?.kind == .unknownTransaction
    }
  }

  @Test("a prepared deployment that is left alone is given up")
  func presumedAbort() throws {
    let bench = try StagingBench()
    try bench.send("t1", try bench.begin("t1"))
    try bench.prepare("t1")
    #expect(bench.staging.expire(now: bench.now) == bench.now + DeploymentLimits.leaseNanoseconds)
    bench.now += DeploymentLimits.leaseNanoseconds
    #expect { try bench.staging.commit("t1", now: bench.now) } throws: {
      ($0 as? DeploymentError)?.kind == .unknownTransaction
    }
    #expect(bench.staging.status(now: bench.now) == DeploymentStatus())
  }

  @Test("loading may take longer than a lease")
  func slowLoading() throws {
    let bench = try StagingBench()
    try bench.send("t1", try bench.begin("t1"))
    _ = try bench.staging.startLoading("t1", now: bench.now)
    bench.now += DeploymentLimits.loadLeaseNanoseconds - 1
    try bench.staging.finishLoading("t1", succeeded: true, now: bench.now)
    #expect(try bench.staging.commit("t1", now: bench.now).serial == 1)
  }

  @Test("as long as the server says that it is installing, the lock is kept, however long that takes")
  func slowInstalling() throws {
    let bench = try StagingBench()
    try bench.send("t1", try bench.begin("t1"))
    _ = try bench.staging.startLoading("t1", now: bench.now)
    for _ in 0..<100 {
      bench.now += DeploymentLimits.leaseNanoseconds - 1
      bench.staging.keepAlive("t1", now: bench.now)
      #expect(throws: DeploymentError.self) { try bench.begin("t2") }
    }
    // Another one's signs of life are not its own.
    bench.now += DeploymentLimits.loadLeaseNanoseconds
    bench.staging.keepAlive("t2", now: bench.now)
    try bench.begin("t2")
  }

  @Test("procedures that do not load leave everything as it was")
  func loadFails() throws {
    let bench = try StagingBench()
    try bench.send("t1", try bench.begin("t1"))
    _ = try bench.staging.startLoading("t1", now: bench.now)
    try bench.staging.finishLoading("t1", succeeded: false, now: bench.now)
    #expect { try bench.staging.commit("t1", now: bench.now) } throws: {
      ($0 as? DeploymentError)?.kind == .outOfOrder
    }
    bench.staging.abort("t1")
    #expect(bench.staging.store.current == nil)
    #expect(bench.staging.status(now: bench.now).lock == nil)
    try bench.deploy("t2")
  }

  @Test("steps out of order are refused")
  func order() throws {
    let bench = try StagingBench()
    let now = bench.now
    func kind(_ body: () throws -> Void) -> DeploymentError.Kind? {
      do { try body() } catch { return (error as? DeploymentError)?.kind }
      return nil
    }
    #expect(kind { try bench.send("t1", Samples.sources.keys.sorted()) } == .unknownTransaction)
    #expect(kind { _ = try bench.staging.commit("t1", now: now) } == .unknownTransaction)
    try bench.begin("t1")
    #expect(kind { _ = try bench.staging.commit("t1", now: now) } == .outOfOrder)
    #expect(kind { try bench.prepare("t1") } == .outOfOrder)
    #expect(kind { try bench.staging.finishLoading("t1", succeeded: true, now: now) } == .outOfOrder)
    try bench.send("t1", Samples.sources.keys.sorted())
    try bench.prepare("t1")
    #expect(kind { try bench.send("t1", Samples.sources.keys.sorted()) } == .outOfOrder)
    _ = try bench.staging.commit("t1", now: now)
    #expect(kind { try bench.begin("t1") } == .outOfOrder)
  }

  @Test(
    "a transaction's name cannot lead anywhere",
    arguments: ["", "..", "a/b", "a b", "\0", String(repeating: "a", count: 65)])
  func names(id: String) throws {
    let bench = try StagingBench()
    #expect { try bench.begin(id) } throws: { ($0 as? DeploymentError)?.kind == .malformed }
  }

  @Test("two servers behind one address are noticed")
  func oneAddress() throws {
    let bench = try StagingBench()
    try bench.begin("t1")
    #expect { try bench.begin("t1", Samples.manifest(server: "s2")) } throws: {
      "\($0)".contains("do two servers have one address?")
    }
  }
}
