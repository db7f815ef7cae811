import Foundation
import TestSupport
import Testing

/// What somebody sees who has compiled stubs: the files that `initializer proto` writes, and what a deployment says of
/// changes that break them.
@Suite("Stubs of gRPC and the deployments that would break them")
struct ProtoDeploymentTests {
  @Test("the files that the initializer writes are what reflection tells, once protoc has compiled them")
  func files() throws {
    let network = try GRPCInteropTests.network()
    let folder = network.directory.file("api")
    let written = try run(Programs.initializer, ["proto", folder, "--file", network.file])
    #expect(written.ending == .code(0), "\(written)")
    let descriptors = network.directory.file("all.bin")
    let names = try FileManager.default.contentsOfDirectory(atPath: folder).filter { $0.hasSuffix(".proto") }
      .sorted()
    let protoc = try run(
      "/usr/bin/env", ["protoc", "-I", folder, "--descriptor_set_out=\(descriptors)"] + names)
    #expect(protoc.ending == .code(0), "\(protoc)")
    let compared = try run(
      try InteropClients.program("python"),
      ["\(Programs.repository)/Tests/Interop/proto_files.py", "\(network.port("s1"))", descriptors])
    #expect(compared.output == names.joined(separator: " ") + "\n", "\(compared)")
    #expect(names.contains("math.proto") && names.contains("math_types.proto"), "\(names)")
  }

  /// Deploys a service `test` and returns what the initializer says.
  private func deploy(_ network: Network, _ entries: String...) throws -> Outcome {
    try network.directory.write("function f(...) end", to: "test.lua")
    try network.describe(
      """
      service:
        - test: {providers: [s1], tenants: [me], rpcs: [f]}
      rpc:
        test:
      \(entries.map { "    - f: {\($0), returns: [], src: test.lua}" }.joined(separator: "\n"))
      """)
    let outcome = try network.initialize()
    #expect(outcome.ending == .code(0), "\(outcome)")
    return outcome
  }

  /// The line of init.yaml that the first procedure is at.
  private func line(_ network: Network, of text: String) throws -> Int {
    let lines = try String(contentsOfFile: network.file, encoding: .utf8).split(
      separator: "\n", omittingEmptySubsequences: false)
    return try #require(lines.firstIndex { $0.contains(text) }) + 1
  }

  @Test("a deployment that renumbers, retypes or drops what stubs were made for warns, with the line")
  func warnings() throws {
    let network = try Network()
    func warnings(_ entries: String...) throws -> [String] {
      let outcome =
        try entries.count == 1 ? deploy(network, entries[0]) : deploy(network, entries[0], entries[1])
      return outcome.output.split(separator: "\n").filter { $0.contains("warning: ") }.map {
        $0.trimmingCharacters(in: .whitespaces)
      }
    }
    #expect(try warnings("args: [a: int, b: str]") == [])
    let at = "warning: \(network.file):\(try line(network, of: "- f: ")):7: in gRPC 'test.f' changes: "
    #expect(
      try warnings("args: [b: str, a: int]") == [
        at + "the argument with the number 1, 'a', gets another type",
        at + "the argument with the number 2, 'b', gets another type",
      ])
    #expect(
      try warnings("args: [c: str, a: int]") == [at + "the number 1 was the argument 'b' and becomes 'c'"])
    #expect(try warnings("args: [c: str]") == [at + "the argument 'a' with the number 2 is gone"])
    #expect(try warnings("args: [c: str, new: int]") == [])
    #expect(try warnings("args: [new: {type: int, field: 2}, c: {type: str, field: 1}]") == [], "pinned")
    // Of overloads the first one has the plain name.
    #expect(
      try warnings("args: [new: {type: int, field: 2}, c: {type: str, field: 1}]", "args: [x: float]") == [])
    let swapped = try warnings(
      "args: [x: float]", "args: [new: {type: int, field: 2}, c: {type: str, field: 1}]")
    #expect(
      try warnings("args: [x: float]").contains {
        $0.hasSuffix("in gRPC 'test.f__float' is gone: it is 'test.f' now")
      })
    #expect(swapped.contains(at + "the argument with the number 1, 'c', gets another type"), "\(swapped)")
  }
}
