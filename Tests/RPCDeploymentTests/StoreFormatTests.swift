import Glibc
import RPCNetwork
import RPCWire
import TestSupport
import Testing

@testable import RPCDeployment

@Suite("Which releases can read a store")
struct StoreFormatTests {
  @Test("a deployment marks the store with the format and the release, before that nothing does")
  func mark() throws {
    let directory = TemporaryDirectory(inMemory: true)
    let bench = try StagingBench(directory)
    #expect(!directory.exists("data/format"))
    try bench.deploy("t1")
    #expect(try directory.read("data/format") == "format 3\nrelease \(Release.version)\n")
  }

  @Test("a store of a later release is refused with both, and nothing of it is changed")
  func newer() throws {
    let directory = TemporaryDirectory(inMemory: true)
    try StagingBench(directory).deploy("t1")
    try directory.write("format 4\nrelease 9.4.0\nmore of it\n", to: "data/format")
    try directory.write("kept", to: "data/incoming/later/source")
    let error = #expect(throws: DeploymentError.self) { try StagingBench(directory) }
    #expect(error?.kind == .newer)
    for part in ["release 9.4.0", "format 4", "up to 3", "release \(Release.version)"] {
      #expect(error?.message.contains(part) == true, "\(part)")
    }
    #expect(try directory.read("data/incoming/later/source") == "kept")
    // Nor is it kept locked.
    try directory.write("format 3\nrelease 9.4.0\n", to: "data/format")
    #expect(try StagingBench(directory).staging.store.current?.serial == 1)
  }

  @Test(
    "a store without a mark, or an older one, is read, and marked by the next deployment",
    arguments: [nil, 2])
  func older(_ number: Int?) throws {
    let directory = TemporaryDirectory(inMemory: true)
    try StagingBench(directory).deploy("t1")
    if let number {
      try directory.write("format \(number)\nrelease 1.0.0\n", to: "data/format")
    } else {
      unlink(directory.file("data/format"))
    }
    let bench = try StagingBench(directory)
    #expect(bench.staging.store.current?.serial == 1)
    try bench.deploy("t2", GenerationStoreTests.second, sources: GenerationStoreTests.sources)
    #expect(try directory.read("data/format").hasPrefix("format 3\n"))
  }

  @Test(
    "a mark that is none keeps nobody from serving",
    arguments: ["", "format\n", "format x\n", "format -1\n", "3"])
  func damaged(_ text: String) throws {
    let directory = TemporaryDirectory(inMemory: true)
    try StagingBench(directory).deploy("t1")
    try directory.write(text, to: "data/format")
    #expect(try StagingBench(directory).staging.store.current?.serial == 1)
  }

  @Test("a change of what is written raises the store's format")
  func goesWithEncodings() {
    // Another number here means that earlier releases cannot read it: StoreFormat.current grows too.
    #expect(Manifest.formatVersion == 2)
    #expect(Topology.formatVersion == 1)
    #expect(DeploymentStatement.formatVersion == 1)
    #expect(StoreFormat.current.number == 3)
  }
}
