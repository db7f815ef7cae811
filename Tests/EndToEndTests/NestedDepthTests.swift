import Foundation
import RPCClient
import RPCWire
import TestSupport
import Testing

@Suite("Calls that call each other")
struct NestedDepthTests {
  /// `down` in Python and Lua calls the next of them on the next server, as often as it is asked to.
  private static func network() throws -> Network {
    let network = try Network(["s1", "s2"], options: ["--loops", "1"])
    try network.directory.write(
      """
      import rpc
      def inner(a):
          return a + 1
      def outer(a):
          return rpc.call(None, "test.inner", a)
      def down(left):
          return 0 if left == 0 else 1 + rpc.call("s2" if left % 2 else "s1", "test.turn", left - 1)
      """, to: "test.py")
    try network.directory.write(
      """
      function turn(left)
        if left == 0 then return 0 end
        return 1 + rpc.call(left % 2 == 1 and "s2" or "s1", "test.down", left - 1)
      end
      """, to: "test.lua")
    try network.describe(
      """
      service:
        - test:
            providers: [s1, s2]
            tenants: [me]
            rpcs: [inner, outer, down, turn]
      rpc:
        test:
          - inner: {args: [int], returns: [int], src: test.py}
          - outer: {args: [int], returns: [int], src: test.py}
          - down: {args: [int], returns: [int], src: test.py}
          - turn: {args: [int], returns: [int], src: test.lua}
      """)
    try network.deploy()
    return network
  }

  @Test("eight at once that each call another procedure are all answered")
  func eightAtOnce() throws {
    let network = try Self.network()
    let callers = try (0..<8).map { _ in try network.lines() }
    for _ in 0..<3 {
      for (number, caller) in callers.enumerated() {
        try caller.send(line: LineClient.request("test.outer", "[\(number)]", more: #","timeout":60"#))
      }
      for (number, caller) in callers.enumerated() {
        #expect(try caller.receiveAnswer() == .values([.int(Int64(number) + 1)]))
      }
    }
  }

  @Test("the depth travels over servers and languages: eight deep is answered, a circle without end refused")
  func overServers() throws {
    let network = try Self.network()
    let caller = try network.lines()
    #expect(try caller.call("test.down", "[8]", more: #","timeout":60"#) == .values([8]))
    #expect(try caller.call("test.down", "[16]", more: #","timeout":60"#) == .values([16]))
    let answer = try caller.call("test.down", "[1000000]", more: #","timeout":60"#)
    #expect(answer.exceptionType == "ExecutionException")
    #expect(answer.exceptionMessage?.contains("16 deep, and this call would be 17 deep") == true, "\(answer)")
    #expect(try caller.call("test.down", "[8]", more: #","timeout":60"#) == .values([8]))
  }

  @Test("a depth that a caller claims is checked like one that a server says")
  func claimedDepth() async throws {
    let network = try Self.network()
    let client = network.client()
    var options = CallOptions()
    options.metadata = [CallFrame.depthKey: .int(Int64(WireLimits.callDepthMax))]
    #expect(try await client.call("test.inner", 1, on: "s1", options: options) as Int == 2)
    options.metadata = [CallFrame.depthKey: .int(Int64(WireLimits.callDepthMax) + 1)]
    let error = await #expect(throws: RPCError.self) {
      _ = try await client.call("test.inner", 1, on: "s1", options: options) as Int
    }
    #expect(error?.exception == .resourceExhausted)
    #expect(error?.actual == WireLimits.callDepthMax + 1)
    #expect(error?.limit == WireLimits.callDepthMax)
    await client.close()
  }

  @Test("Python answers after a script with hundreds of calls was killed in the middle")
  func killedScript() throws {
    let network = try Network(options: ["--loops", "1"])
    try network.deployPython(
      ["nap: {args: [float], returns: [float]}"],
      source: "import time\ndef nap(seconds):\n    time.sleep(seconds)\n    return seconds\n")
    for _ in 0..<2 {
      let script = try ChildProcess(Programs.shell, ["--config", network.file], input: .pipe)
      script.send(String(repeating: "test.nap 0.2\n", count: 300))
      // It has calls that run and calls that wait.
      _ = try script.waitFor(.output, "some answers") { $0.count > 2 ? true : nil }
      script.signal(SIGKILL)
      try script.waitForEnd()
      for _ in 0..<3 {
        #expect(try network.lines().call("test.nap", "[0]", more: #","timeout":30"#) == .values([0.0]))
      }
    }
  }
}
