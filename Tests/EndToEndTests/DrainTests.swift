import Foundation
import RPCClient
import RPCWire
import Testing

@Suite("Stopping a server")
struct DrainTests {
  private static let source = """
    \(SocketGate.python)
    def hold(port):
        pass_gate(port)
        return 1
    """
  private static let procedures = ["hold: {args: [int], returns: [int]}"]

  @Test("an idle server ends with 0 at the first signal", arguments: [SIGTERM, SIGINT])
  func stopsIdle(_ signal: Int32) throws {
    let network = try Network()
    let idle = try network.lines()
    #expect(try idle.call("system.ping") == .values(["pong"]))
    let server = try network.server("s1")
    server.signal(signal)
    #expect(try server.waitForEnd() == .code(0))
    #expect(try idle.receiveLine() == nil)
  }

  /// Calls until the server, which has been told to stop, refuses: the signal takes its time to arrive.
  private func refusalOnceDraining(_ caller: LineClient) throws -> String {
    while true {
      try caller.send(line: LineClient.request("system.ping", "[]", more: #","id":2"#))
      guard let line = try caller.receiveLine() else { throw Failure("closed instead of drained") }
      #expect(line.contains(#""id":2"#))
      if try LineClient.answer(line) != .values(["pong"]) { return line }
    }
  }

  @Test("calls in flight are answered, new ones are refused as not executed, then it ends with 0")
  func drains() throws {
    let network = try Network(options: ["--drain-timeout", "60000"])
    try network.deployPython(Self.procedures, source: Self.source)
    let gate = try SocketGate()
    let caller = try network.lines()
    try caller.send(line: LineClient.request("test.hold", "[\(gate.port)]", more: #","id":1"#))
    let visitor = try gate.admit()
    let server = try network.server("s1")
    server.signal(SIGTERM)
    let refusal = try refusalOnceDraining(caller)
    #expect(throws: Failure.self) { try network.lines() }
    #expect(refusal.contains(#""executed":"no""#), "\(refusal)")
    #expect(try LineClient.answer(refusal).exceptionType == "Unavailable")
    #expect(server.isRunning)
    visitor.letGo()
    #expect(try caller.receiveAnswer() == .values([1]))
    #expect(try server.waitForEnd() == .code(0))
  }

  @Test("what takes longer than the drain timeout is ended")
  func drainTimeout() throws {
    let network = try Network(options: ["--drain-timeout", "300"])
    try network.deployPython(Self.procedures, source: Self.source)
    let gate = try SocketGate()
    let caller = try network.lines()
    try caller.send(line: LineClient.request("test.hold", "[\(gate.port)]"))
    let visitor = try gate.admit()
    let server = try network.server("s1")
    server.signal(SIGTERM)
    #expect(try server.waitForEnd() == .code(0))
    try visitor.waitUntilGone()
  }

  @Test("a second signal ends it at once")
  func secondSignal() throws {
    let network = try Network(options: ["--drain-timeout", "3600000"])
    try network.deployPython(Self.procedures, source: Self.source)
    let gate = try SocketGate()
    let caller = try network.lines()
    try caller.send(line: LineClient.request("test.hold", "[\(gate.port)]", more: #","id":1"#))
    let visitor = try gate.admit()
    let server = try network.server("s1")
    server.signal(SIGTERM)
    _ = try refusalOnceDraining(caller)
    #expect(server.isRunning)
    server.signal(SIGTERM)
    _ = try server.waitForEnd()
    try visitor.waitUntilGone()
  }

  @Test("a client with another provider moves over without its caller seeing an error")
  func movesOver() async throws {
    let network = try Network(["s1", "s2"])
    try network.deployPython(["f: {args: [], returns: [int]}"], source: "def f(): return 1\n")
    let client = network.client()
    let load = Task {
      var calls = 0
      while !Task.isCancelled {
        let _: Int = try await client.call("test.f")
        calls += 1
      }
      return calls
    }
    let _: Int = try await client.call("test.f", on: "s1")
    let _: Int = try await client.call("test.f", on: "s2")
    try network.server("s1").signal(SIGTERM)
    #expect(try network.server("s1").waitForEnd() == .code(0))
    for _ in 0..<20 {
      let one: Int = try await client.call("test.f")
      #expect(one == 1)
    }
    load.cancel()
    do {
      _ = try await load.value
    } catch {
      #expect((error as? RPCError)?.exception == .cancelled, "\(error)")
    }
    await client.close()
  }

  @Test("killed, a server leaves no worker processes behind")
  func leavesNoWorkers() throws {
    let network = try Network()
    try network.deployPython(Self.procedures, source: Self.source)
    let gate = try SocketGate()
    let caller = try network.lines()
    try caller.send(line: LineClient.request("test.hold", "[\(gate.port)]"))
    let visitor = try gate.admit()
    let server = try network.server("s1")
    // The server alone, not its group.
    server.signal(SIGKILL)
    #expect(try server.waitForEnd() == .signal(SIGKILL))
    try visitor.waitUntilGone()
  }
}
