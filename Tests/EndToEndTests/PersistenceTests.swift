import Foundation
import RPCWire
import TestSupport
import Testing

@Suite("What a server keeps")
struct PersistenceTests {
  private static let procedures = ["f: {args: [], returns: [int]}"]

  @Test("killed and started again, it serves what it was assigned, without the initializer")
  func survivesKilling() throws {
    let network = try Network(clients: ["c1"])
    try network.deployPython(Self.procedures, source: "def f(): return 1\n")
    for round in 1...3 {
      try network.server("s1").killAtOnce()
      try network.start("s1")
      #expect(try network.lines().call("test.f") == .values([.int(Int64(round))]))
      try network.deployPython(Self.procedures, source: "def f(): return \(round + 1)\n")
    }
    let status = try run(Programs.initializer, [network.file])
    #expect(status.output.contains("up to date (generation 4"), "\(status)")
  }

  @Test("killed while it is deployed to, it comes back with the old generation or the new, whole")
  func survivesKillingWhileDeploying() throws {
    let network = try Network()
    try network.deployPython(Self.procedures, source: "def f(): return 0\n")
    var last: Int64 = 0
    for version in 1...8 {
      try network.directory.write("def f(): return \(version)\n", to: "test.py")
      let initializer = try ChildProcess(Programs.initializer, [network.file, "--timeout", "5"])
      // Another point of its work in each round.
      let server = try network.server("s1")
      _ = try? server.waitFor(.errors, "the deployment", seconds: 5) { text in
        text.components(separatedBy: "deploy_").count > version * 2 ? true : nil
      }
      server.killAtOnce()
      _ = try initializer.waitForEnd()
      try network.start("s1")
      guard case .values(let values) = try network.lines().call("test.f"),
        let served = values.listValue?.first?.intValue
      else {
        Issue.record("nothing served after round \(version)")
        return
      }
      #expect(served == last || served == Int64(version))
      last = served
    }
  }

  @Test("a server that cannot read what it was assigned says so everywhere, and the next run repairs it")
  func degraded() throws {
    let network = try Network()
    try network.deployPython(Self.procedures, source: "def f(): return 1\n")
    try network.server("s1").killAtOnce()
    let manifest = "\(network.directory.path)/data/s1/gen/1/manifest"
    try FileManager.default.removeItem(atPath: manifest)
    #expect(mkfifo(manifest, 0o600) == 0)
    let server = try network.start("s1")
    try server.waitFor(.errors, "the warning", seconds: 20) {
      $0.contains("degraded: generation 1 is damaged") ? true : nil
    }
    let answer = try network.lines().call("system.stats")
    guard case .values(let values) = answer, let stats = values.listValue?.first else {
      Issue.record("\(answer)")
      return
    }
    #expect(stats["degraded"]?.stringValue?.contains("special file") == true, "\(answer)")
    let repaired = try network.deploy()
    #expect(repaired.output.contains("! degraded"), "\(repaired)")
    #expect(try network.lines().call("test.f") == .values([1]))
    #expect(try network.deploy().output.contains("Everything is up to date."))
  }

  @Test("a damaged data directory is told, and what is whole is served or refused, never half")
  func toldDamage() throws {
    let network = try Network()
    try network.deployPython(Self.procedures, source: "def f(): return 1\n")
    try network.server("s1").killAtOnce()
    let data = "\(network.directory.path)/data/s1"
    let files = try FileManager.default.subpathsOfDirectory(atPath: "\(data)/objects")
      .map { "\(data)/objects/\($0)" }
      .filter {
        (try? FileManager.default.attributesOfItem(atPath: $0)[.type] as? FileAttributeType) == .typeRegular
      }
    #expect(!files.isEmpty)
    for file in files { try Data("def f(): return 666\n".utf8).write(to: URL(fileURLWithPath: file)) }
    let server = try ChildProcess(
      Programs.server, ["127.0.0.1", "\(network.port("s1"))", "--data", data])
    defer { server.killAtOnce() }
    // Either it refuses to serve, or it serves without the procedure; the wrong code never runs.
    if (try? server.waitForLine("listening on", seconds: 20)) != nil {
      #expect(try network.lines().call("test.f") != .values([666]))
    } else {
      #expect(try server.waitForEnd() == .code(3))
    }
  }
}
