import Foundation
import RPCClient
import RPCWire
import TestSupport
import Testing

@Suite("Updates while it runs")
struct UpdateTests {
  private static func source(_ version: Int) -> String {
    """
    \(SocketGate.python)
    def hold(port):
        pass_gate(port)
        return \(version)

    def version():
        return \(version)
    """
  }

  private static let procedures = [
    "hold: {args: [int], returns: [int]}", "version: {args: [], returns: [int]}",
  ]

  @Test("a call in flight ends on the old code, the next one gets the new, on connections that stay open")
  func replaces() throws {
    let network = try Network()
    try network.deployPython(Self.procedures, source: Self.source(1))
    let process = try network.server("s1").pid
    let gate = try SocketGate()
    let caller = try network.lines()
    try caller.send(line: LineClient.request("test.hold", "[\(gate.port)]", more: #","id":"old""#))
    let visitor = try gate.admit()

    try network.deployPython(Self.procedures, source: Self.source(2))
    try caller.send(line: LineClient.request("test.version", "[]", more: #","id":"new""#))
    let first = try #require(try caller.receiveLine())
    #expect(first.contains(#""new""#))
    #expect(try LineClient.answer(first) == .values([2]))
    visitor.letGo()
    let second = try #require(try caller.receiveLine())
    #expect(second.contains(#""old""#))
    #expect(try LineClient.answer(second) == .values([1]))
    #expect(try network.server("s1").pid == process)
    #expect(try network.server("s1").isRunning)
  }

  @Test("a client of the library sees the new code with its very next call, on the same connection")
  func replacesForClients() async throws {
    let network = try Network()
    try network.deployPython(Self.procedures, source: Self.source(1))
    let client = network.client()
    for version in 1...4 {
      if version > 1 { try network.deployPython(Self.procedures, source: Self.source(version)) }
      let seen: Int = try await client.call("test.version")
      #expect(seen == version)
    }
    let stats = try await client.invoke("system.stats", [], on: "s1")
    // This client's, and one for each run of the initializer.
    #expect(stats.values.first?["connections_total"]?.intValue == 5)
    await client.close()
  }

  @Test("calls that never pause are all answered, each by the old or the new code")
  func underLoad() async throws {
    let network = try Network()
    try network.deployPython(Self.procedures, source: Self.source(1))
    let client = network.client()
    let load = Task {
      var versions: [Int] = []
      while !Task.isCancelled {
        let version: Int = try await client.call("test.version")
        versions.append(version)
        if version == 5 { break }
      }
      return versions
    }
    for version in 2...5 { try network.deployPython(Self.procedures, source: Self.source(version)) }
    let versions = try await load.value
    #expect(versions == versions.sorted())
    #expect(versions.last == 5)
    await client.close()
  }

  @Test("removed procedures are gone, new ones are there, the others stay")
  func removes() throws {
    let network = try Network()
    try network.deployPython(Self.procedures, source: Self.source(1))
    let caller = try network.lines()
    #expect(try caller.call("test.version") == .values([1]))
    try network.deployPython(
      ["version: {args: [], returns: [int]}", "more: {args: [], returns: [int]}"],
      source: "def version(): return 1\n\ndef more(): return 7\n")
    let gone = try caller.call("test.hold", "[1]")
    #expect(gone.exceptionType == "RPCNotFound", "\(gone)")
    #expect(try caller.call("test.version") == .values([1]))
    #expect(try caller.call("test.more") == .values([7]))
  }

  @Test("tenants that are changed in the file change at once, and no source is sent for it")
  func changesTenants() throws {
    let network = try Network(clients: ["c1"])
    try network.directory.write("def f(): return 1\n", to: "f.py")
    func describe(tenants: String) throws {
      try network.describe(
        """
        service:
          - test: {providers: [s1], tenants: [\(tenants)], rpcs: [f], network: true}
        rpc:
          test:
            - f: {args: [], returns: [int], src: f.py}
        """)
    }
    try describe(tenants: "me")
    try network.deploy()
    let caller = try network.lines()
    #expect(try caller.call("test.f") == .values([1]))
    try describe(tenants: "c1")
    let outcome = try network.deploy()
    #expect(outcome.output.contains("no source sent"), "\(outcome)")
    #expect(try caller.call("test.f").exceptionType == "ClientNotRegistered")
    #expect(try network.lines(as: "c1").call("test.f") == .values([1]))
    try describe(tenants: "me, c1")
    try network.deploy()
    #expect(try caller.call("test.f") == .values([1]))
  }

  @Test("a changed source is sent alone, an unchanged one is not")
  func sendsChangesAlone() throws {
    let network = try Network()
    try network.directory.write("def a(): return 1\n", to: "a.py")
    try network.directory.write("def b(): return 1\n", to: "b.py")
    try network.describe(
      """
      service:
        - test: {providers: [s1], tenants: [me], rpcs: [a, b], network: true}
      rpc:
        test:
          - a: {args: [], returns: [int], src: a.py}
          - b: {args: [], returns: [int], src: b.py}
      """)
    #expect(try network.deploy().output.contains("sent 2 sources"))
    try network.directory.write("def b(): return 2\n", to: "b.py")
    #expect(try network.deploy().output.contains("sent 1 source "))
    // What a server has had before, it has still.
    try network.directory.write("def b(): return 1\n", to: "b.py")
    try network.deploy()
    #expect(try network.lines().call("test.b") == .values([1]))
  }
}
