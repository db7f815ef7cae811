import Foundation
import RPCProcedures
import RPCWire
import TestSupport
import Testing

@testable import RPCDeployment

/// What a data directory may have become. Each is served from what is whole, repaired by the next run, or refused with
/// a message; nothing traps or hangs, and nothing outside the directory is touched.
@Suite("A damaged data directory", .timeLimit(.minutes(5)))
struct DiskDamageTests {
  enum Expected {
    /// The newest generation is served, and nothing is reported.
    case whole
    /// A generation is served, or none, and the status says why it is not the newest or not certain.
    case degraded
    /// The server does not start.
    case refused
  }

  struct Damage: CustomTestStringConvertible {
    var testDescription: String
    var expected: Expected
    var act: @Sendable (Place) throws -> Void

    init(_ name: String, _ expected: Expected, _ act: @escaping @Sendable (Place) throws -> Void) {
      testDescription = name
      self.expected = expected
      self.act = act
    }
  }

  /// The data directory, and a directory beside it that links lead to.
  struct Place {
    var data: String
    var outside: String
    /// The source of the newest generation, relative to the data directory.
    var object: String

    func path(_ name: String) -> String { "\(data)/\(name)" }

    func remove(_ name: String) throws { try FileManager.default.removeItem(atPath: path(name)) }

    /// Puts something else where `name` is.
    func file(_ name: String) throws {
      try? remove(name)
      try Data("junk".utf8).write(to: URL(fileURLWithPath: path(name)))
    }

    func directory(_ name: String) throws {
      try? remove(name)
      try FileManager.default.createDirectory(
        atPath: path(name) + "/inner", withIntermediateDirectories: true)
    }

    func fifo(_ name: String) throws {
      try? remove(name)
      #expect(mkfifo(path(name), 0o600) == 0)
    }

    func link(_ name: String, to target: String) throws {
      try? remove(name)
      try FileManager.default.createSymbolicLink(atPath: path(name), withDestinationPath: target)
    }

    /// Has the server sign a record again, as if it were under this number.
    func accept(_ name: String, _ kind: SealedText.Kind, _ number: Int) throws {
      let text = try String(contentsOfFile: path("\(name)/record"), encoding: .utf8)
      let end = try #require(text.range(of: "accepted_by"))
      let sealed = SealedText.seal(
        String(text[..<end.lowerBound]), kind, number: number, by: Samples.serverKey)
      try Data(sealed.utf8).write(to: URL(fileURLWithPath: path("\(name)/record")))
    }

    func copy(_ name: String, to other: String) throws {
      try FileManager.default.copyItem(atPath: path(name), toPath: path(other))
    }
  }

  static let damages: [Damage] = [
    Damage("nothing", .whole) { _ in },
    Damage("'current' is a directory", .degraded) { try $0.directory("current") },
    Damage("'current' is a file", .degraded) { try $0.file("current") },
    Damage("'current' is a FIFO", .degraded) { try $0.fifo("current") },
    Damage("'current' leads to the largest number", .degraded) {
      try $0.link("current", to: "gen/9223372036854775807")
    },
    Damage("'current' leads to a number too large for an integer", .degraded) {
      try $0.link("current", to: "gen/92233720368547758070")
    },
    Damage("'current' leads to a negative number", .degraded) { try $0.link("current", to: "gen/-5") },
    Damage("'current' leads to 0", .degraded) { try $0.link("current", to: "gen/0") },
    Damage("'current' leads to another spelling", .degraded) { try $0.link("current", to: "gen/+2") },
    Damage("'current' leads outside", .degraded) { try $0.link("current", to: $0.outside) },
    Damage("'current' leads nowhere", .degraded) { try $0.link("current", to: "gen/77") },
    Damage("'previous' is a directory", .whole) { try $0.directory("previous") },
    Damage("'previous' is a FIFO", .whole) { try $0.fifo("previous") },
    Damage("'current.new' is a directory", .whole) { try $0.directory("current.new") },
    Damage("'previous.new' is a directory", .whole) { try $0.directory("previous.new") },
    Damage("'current.new' is a FIFO", .whole) { try $0.fifo("current.new") },
    Damage("'incoming' is a file", .whole) { try $0.file("incoming") },
    Damage("'incoming' is a FIFO", .whole) { try $0.fifo("incoming") },
    Damage("'incoming' leads outside", .whole) { try $0.link("incoming", to: $0.outside) },
    Damage("'incoming' holds a link that leads outside", .whole) {
      try $0.link("incoming/t", to: $0.outside)
    },
    Damage("'objects' is a file", .degraded) { try $0.file("objects") },
    Damage("'objects' leads outside", .degraded) { try $0.link("objects", to: $0.outside) },
    Damage("'gen' is a file", .degraded) { try $0.file("gen") },
    Damage("'gen' leads outside", .degraded) { try $0.link("gen", to: $0.outside) },
    Damage("an object is a directory", .degraded) { try $0.directory($0.object) },
    Damage("an object is a FIFO", .degraded) { try $0.fifo($0.object) },
    Damage("an object leads outside", .degraded) { try $0.link($0.object, to: "\($0.outside)/precious") },
    Damage("a directory of objects is a file", .degraded) {
      try $0.file(String($0.object.prefix("objects/ab".count)))
    },
    Damage("a manifest is a FIFO", .degraded) { try $0.fifo("gen/2/manifest") },
    Damage("a manifest is a directory", .degraded) { try $0.directory("gen/2/manifest") },
    Damage("a record is a FIFO", .degraded) { try $0.fifo("gen/2/record") },
    Damage("a record leads outside", .degraded) { try $0.link("gen/2/record", to: "\($0.outside)/precious") },
    Damage("a generation is a file", .degraded) { try $0.file("gen/2") },
    Damage("a generation is a FIFO", .degraded) { try $0.fifo("gen/2") },
    Damage("a generation leads outside", .degraded) { try $0.link("gen/2", to: $0.outside) },
    Damage("the number of the next generation is a file", .whole) { try $0.file("gen/3") },
    Damage("the number of the next generation leads outside", .whole) {
      try $0.link("gen/3", to: $0.outside)
    },
    Damage("a generation has the largest number", .whole) {
      try $0.copy("gen/2", to: "gen/9223372036854775807")
    },
    Damage("a generation has the highest number that is used", .whole) {
      try $0.copy("gen/2", to: "gen/\(DeploymentLimits.serialMax)")
    },
    Damage("a generation has a negative number", .whole) { try $0.copy("gen/2", to: "gen/-5") },
    Damage("'fence' is a directory", .degraded) { try $0.directory("fence") },
    Damage("'fence' is a file", .degraded) { try $0.file("fence") },
    Damage("'fence' is a FIFO", .degraded) { try $0.fifo("fence") },
    Damage("'fence' leads outside", .degraded) { try $0.link("fence", to: "\($0.outside)/precious") },
    Damage("'fence' is gone", .degraded) { try $0.remove("fence") },
    Damage("'fence.new' is a directory", .whole) { try $0.directory("fence.new") },
    Damage("'fence.new' is a FIFO", .whole) { try $0.fifo("fence.new") },
    Damage("'fence.new' leads outside", .whole) {
      try $0.link("fence.new", to: "\($0.outside)/precious")
    },
    Damage("'audit.log' is a FIFO", .whole) { try $0.fifo("audit.log") },
    Damage("'audit.log' is a directory", .whole) { try $0.directory("audit.log") },
    Damage("'audit.log' leads outside", .whole) { try $0.link("audit.log", to: "\($0.outside)/precious") },
    Damage("'lock' is a directory", .refused) { try $0.directory("lock") },
    Damage("'lock' is a FIFO", .refused) { try $0.fifo("lock") },
    Damage("'lock' leads outside", .refused) { try $0.link("lock", to: "\($0.outside)/precious") },
  ]

  @Test("is served, repaired or refused", arguments: damages)
  func table(damage: Damage) throws {
    let directory = TemporaryDirectory(inMemory: true)
    try directory.write("precious", to: "outside/precious")
    let first = try DiskFaultTests.prepared(directory)
    let digest = ContentDigest.hex(of: GenerationStoreTests.changed)
    let place = Place(
      data: "\(directory.path)/data", outside: "\(directory.path)/outside",
      object: first.staging.store.objectPath(digest))
    first.staging.store.close()
    try damage.act(place)

    let bench: StagingBench
    do {
      bench = try StagingBench(directory)
    } catch let error as DeploymentError {
      #expect(damage.expected == .refused, "\(error)")
      #expect(error.message.contains("'lock' of the data directory") && !error.message.contains(place.data))
      #expect(try directory.read("outside/precious") == "precious")
      return
    }
    let store = bench.staging.store
    switch damage.expected {
    case .whole:
      #expect(store.current?.serial == 2)
      #expect(store.degraded == nil)
    case .degraded: #expect(store.degraded != nil)
    case .refused: Issue.record("it is served")
    }
    if let current = store.current {
      #expect(try store.sources(of: current.manifest).count == current.manifest.sourceDigests.count)
    }
    // The next run repairs it, more than once, and a restart finds that.
    for (round, manifest) in [Samples.manifest(), DiskFaultTests.third].enumerated() {
      let before = store.current?.serial ?? 0
      let serial = try bench.deploy("r\(round)", manifest, sources: DiskFaultTests.sources).serial
      #expect(serial > before)
      #expect(store.degraded == nil)
    }
    store.close()
    let again = try StagingBench(directory)
    #expect(again.staging.store.current?.manifest == DiskFaultTests.third)
    #expect(again.staging.store.degraded == nil)
    #expect(try FileManager.default.contentsOfDirectory(atPath: place.outside) == ["precious"])
    #expect(try directory.read("outside/precious") == "precious")
  }

  @Test("the numbers of generations end with a message")
  func lastNumber() throws {
    let directory = TemporaryDirectory(inMemory: true)
    let first = try DiskFaultTests.prepared(directory)
    first.staging.store.close()
    let place = Place(data: "\(directory.path)/data", outside: "", object: "")
    try place.copy("gen/2", to: "gen/\(DeploymentLimits.serialMax - 1)")
    try place.link("current", to: "gen/\(DeploymentLimits.serialMax - 1)")
    try place.accept("gen/\(DeploymentLimits.serialMax - 1)", .generation, DeploymentLimits.serialMax - 1)
    let bench = try StagingBench(directory)
    #expect(bench.staging.store.current?.serial == DeploymentLimits.serialMax - 1)
    #expect(
      try bench.deploy("t3", DiskFaultTests.third, sources: DiskFaultTests.sources).serial
        == DeploymentLimits.serialMax)
    #expect { try bench.deploy("t4") } throws: {
      "\($0)".contains("no number is left above generation \(DeploymentLimits.serialMax)")
    }
    #expect(bench.staging.store.current?.serial == DeploymentLimits.serialMax)
  }
}
