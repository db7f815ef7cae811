import Foundation
import TestSupport
import Testing

/// The package in Clients/python, whose own tests are in Python.
@Suite("the Python client", .serialized)
struct PythonClientTests {
  static let folder = "\(Programs.repository)/Clients/python"

  /// Every Python that is there and that the package is for; the tests' own environment, which has the optional packages, first.
  static let interpreters: [String] = {
    var found: [String] = []
    if let own = try? InteropClients.program("python") { found.append(own) }
    let folders = (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":").map(String.init)
    let versions = FileManager.default.homeDirectoryForCurrentUser.appending(path: ".pyenv/versions")
    let installed =
      (try? FileManager.default.contentsOfDirectory(at: versions, includingPropertiesForKeys: nil)) ?? []
    for minor in 9...20 {
      let name = "python3.\(minor)"
      let places = folders + installed.map { $0.appending(path: "bin").path }
      let working = places.lazy.map { "\($0)/\(name)" }.first { path in
        guard FileManager.default.isExecutableFile(atPath: path) else { return false }
        return (try? run(path, ["-c", "import asyncio, ssl"]).ending) == .code(0)
      }
      if let working { found.append(working) }
    }
    return found
  }()

  @Test(
    "neither hangs nor breaks, whatever its server and its caller do, on every Python there is",
    arguments: interpreters)
  func behaviour(interpreter: String) throws {
    let outcome = try run(
      interpreter, ["-B", "-m", "unittest", "discover", "-s", "\(Self.folder)/tests"], seconds: 300)
    #expect(outcome.ending == .code(0), "\(outcome)")
    #expect(outcome.errors.contains("\nOK"), "\(outcome)")
  }

  @Test("keeps its promises with real servers: TLS, keys, deployments, stops, kills and frozen servers")
  func realServers() throws {
    let outcome = try run(
      try InteropClients.program("python"),
      ["-B", "\(Self.folder)/tests/end_to_end.py", Programs.directory], seconds: 300)
    #expect(outcome.ending == .code(0), "\(outcome)")
    #expect(outcome.errors.hasSuffix("\nOK\n"), "a test was left out: \(outcome)")
  }

  @Test("is typed throughout")
  func types() throws {
    let cache = TemporaryDirectory()
    let outcome = try run(
      try InteropClients.program("python"),
      [
        "-m", "mypy", "--strict", "--config-file", "\(Self.folder)/pyproject.toml", "--cache-dir", cache.path,
        "\(Self.folder)/src",
      ], seconds: 300)
    #expect(outcome.output.hasPrefix("Success: no issues found"), "\(outcome)")
  }

  @Test("is one wheel, the same from the same sources, which works where it is installed")
  func wheel() throws {
    let directory = TemporaryDirectory()
    let python = try InteropClients.program("python")
    var wheels: [Data] = []
    var path = ""
    for name in ["a", "b"] {
      let built = try run(
        "/usr/bin/env",
        ["PYTHON=\(python)", "\(Programs.repository)/Scripts/python-wheel", directory.file(name)],
        seconds: 300)
      #expect(built.ending == .code(0), "\(built)")
      path = built.output.trimmingCharacters(in: .newlines)
      wheels.append(try Data(contentsOf: URL(filePath: path)))
    }
    #expect(wheels[0] == wheels[1])
    let version = try #require(run(Programs.server, ["--version"]).output.split(separator: " ").last)
    #expect(path == "\(directory.file("b"))/simplerpc-\(version.dropLast())-py3-none-any.whl")
    let place = directory.file("place")
    let installed = try run(
      python, ["-m", "pip", "install", "-q", "--no-index", "--no-deps", "--target", place, path], seconds: 300
    )
    #expect(installed.ending == .code(0), "\(installed)")
    #expect(FileManager.default.fileExists(atPath: "\(place)/simplerpc/py.typed"))
    let network = try Network()
    let called = try run(
      "/usr/bin/env",
      [
        "PYTHONPATH=\(place)", python, "-B", "\(place)/bin/simplerpc", "127.0.0.1:\(network.port("s1"))",
        "system.ping",
      ])
    #expect(called.output == "\"pong\"\n", "\(called)")
  }
}
