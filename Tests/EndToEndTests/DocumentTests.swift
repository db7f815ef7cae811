import Foundation
import RPCWire
import TestSupport
import Testing

/// What README and Docs show is what happens.
@Suite("The documents")
struct DocumentTests {
  private static func text(_ path: String) throws -> String {
    String(
      decoding: try Data(contentsOf: URL(fileURLWithPath: "\(Programs.repository)/\(path)")), as: UTF8.self)
  }

  /// The fenced blocks of a language, in order.
  private static func blocks(_ language: String, in path: String) throws -> [String] {
    try text(path).components(separatedBy: "\n```").enumerated().compactMap { index, part in
      // Every other fence opens; what follows its first line, the language, is the block.
      guard index % 2 == 1, part.hasPrefix("\(language)\n") else { return nil }
      return String(part.dropFirst(language.count + 1)) + "\n"
    }
  }

  /// The repository's own init.yaml, on free ports.
  private func example() throws -> Network {
    let network = try Network(["s1", "s2", "s3"], clients: ["c1", "c2"])
    var text = try Self.text("init.yaml")
    for (port, ours) in [
      ("8181", network.ports["s1"]), ("8282", network.ports["s2"]), ("8383", network.ports["s3"]),
      ("6000", network.clientPorts["c1"]), ("6001", network.clientPorts["c2"]),
    ] {
      text = text.replacingOccurrences(of: "port: \(port)", with: "port: \(ours ?? 0)")
    }
    try network.directory.write(text, to: "init.yaml")
    try FileManager.default.copyItem(
      atPath: "\(Programs.repository)/services", toPath: "\(network.directory.path)/services")
    try network.deploy()
    return network
  }

  @Test("EMBEDDING.md shows the programs that are built, and they talk to each other")
  func embedding() throws {
    let blocks = try Self.blocks("swift", in: "Docs/EMBEDDING.md")
    #expect(
      blocks == [
        try Self.text("Examples/embedded-server/main.swift"),
        try Self.text("Examples/embedded-client/main.swift"),
        try Self.text("Examples/embedded-network/main.swift"),
        try Self.text("Examples/embedded-service/main.swift"),
      ])
    for block in blocks {
      let lines = block.split(separator: "\n").filter { !$0.hasPrefix("//") }
      #expect(lines.count <= 10)
    }
    let port = try FreePort.take()
    let server = try ChildProcess("\(Programs.directory)/embedded-server", ["\(port)"])
    defer { server.killAtOnce() }
    try server.waitForLine("listening on")
    let client = try run("\(Programs.directory)/embedded-client", ["\(port)"])
    #expect(client.ending == .code(0), "\(client)")
    #expect(client.output == "20 + 22 = 42\n")
    #expect(try LineClient(port: port).call("math.add", "[1,2]") == .values([3]))
  }

  @Test("the embedded client finds the providers that init.yaml names")
  func embeddedNetwork() throws {
    let network = try Network(["s1", "s2"])
    try network.directory.write("function add(a, b) return a + b end\n", to: "add.lua")
    try network.describe(
      """
      service:
        - math: {providers: [s2], tenants: [me], rpcs: [add]}
      rpc:
        math:
          - add: {args: [int, int], returns: [int], src: add.lua}
      """)
    try network.deploy()
    let client = try run("\(Programs.directory)/embedded-network", [], directory: network.directory.path)
    #expect(client.ending == .code(0) && client.output == "20 + 22 = 42\n", "\(client)")
    let lost = try run("\(Programs.directory)/embedded-network", [], directory: "/")
    #expect(lost.ending != .code(0) && lost.errors.contains("init.yaml"), "\(lost)")
  }

  @Test("the embedded server in a group of services ends well on SIGTERM")
  func embeddedService() throws {
    let port = try FreePort.take()
    let server = try ChildProcess("\(Programs.directory)/embedded-service", ["\(port)"])
    defer { server.killAtOnce() }
    #expect(try LineClient.whenListening(port: port).call("math.add", "[1,2]") == .values([3]))
    server.signal(SIGTERM)
    #expect(try server.waitForEnd() == .code(0))
  }

  @Test("the example init.yaml answers as its comments say")
  func exampleFile() throws {
    let network = try example()
    let outcome = try network.shell(
      "call s1 text.concat 32 hello", "call s1 text.concat 32 33", #"call s1 text.join ["a","b"] +"#,
      #"call s1 text.count "one two""#, "call s2 math.add 20 22", "call s2 math.mean [1,2,4.5]",
      "call s1 clock.now", #"call s2 math.divide 7 2"#)
    #expect(outcome.ending == .code(0), "\(outcome)")
    #expect(outcome.lines.prefix(3) == ["32hello", "3233", "a+b"], "\(outcome)")
    let failing = try network.shell("call s2 math.divide 1 0", "call s3 shop.price tea")
    #expect(failing.ending == .code(1))
    #expect(failing.errors.contains("cannot divide 1 by zero"))
    #expect(failing.errors.contains("math.lua:"))
    #expect(failing.errors.contains("ClientNotRegistered"))
    let tenant = try network.shell("call s3 shop.price tea", options: ["--as", "c1"])
    #expect(tenant.ending == .code(0), "\(tenant)")
    #expect(tenant.output == "2.5\n")
  }

  @Test("every file that a document links to is there", arguments: ["README.md", "Docs"])
  func links(_ place: String) throws {
    let files =
      place.hasSuffix(".md")
      ? [place]
      : try FileManager.default.contentsOfDirectory(atPath: "\(Programs.repository)/\(place)")
        .filter { $0.hasSuffix(".md") }.map { "\(place)/\($0)" }
    for file in files {
      let folder = file.contains("/") ? String(file[...(file.lastIndex(of: "/") ?? file.startIndex)]) : ""
      for match in try Self.text(file).matches(of: /\]\(([^)#:]+)(#[^)]*)?\)/) {
        let target = "\(Programs.repository)/\(folder)\(match.1)"
        #expect(FileManager.default.fileExists(atPath: target), "\(file): \(match.1)")
      }
    }
  }
}
