import Foundation
import RPCClient
import RPCWire
import Testing

@Suite("What one call does to others")
struct IsolationTests {
  private static let source = """
    import os
    import signal
    \(SocketGate.python)
    def good(number):
        return number + 1

    def hold(port):
        pass_gate(port)
        return 1

    def leave():
        os._exit(3)

    def leave_politely():
        raise SystemExit(4)

    def crash():
        os.kill(os.getpid(), signal.SIGSEGV)

    def overflow():
        return overflow()

    def spin():
        while True:
            pass

    def flood():
        return "x" * (1 << 30)

    def print_flood():
        for _ in range(1 << 20):
            print("x" * 1024)

    def raw_flood():
        block = b"x" * 65536
        for _ in range(1 << 14):
            os.write(1, block)

    def eat():
        return len([bytearray(1 << 20) for _ in range(4096)])

    def big():
        return 1 << 63

    def write_stdout():
        os.write(1, b"not a reply")
        return 1
    """

  private static let procedures = [
    "good: {args: [int], returns: [int]}", "hold: {args: [int], returns: [int]}",
    "leave: {args: [], returns: []}", "leave_politely: {args: [], returns: []}",
    "crash: {args: [], returns: []}", "overflow: {args: [], returns: []}",
    "spin: {args: [], returns: [], timeout: 500ms}", "flood: {args: [], returns: [str], memory: 2GiB}",
    "print_flood: {args: [], returns: []}", "raw_flood: {args: [], returns: []}",
    "eat: {args: [], returns: [int]}", "big: {args: [], returns: [int]}",
    "write_stdout: {args: [], returns: [int]}",
  ]

  private static let failures: [(String, [String])] = [
    ("leave", ["ExecutionException", "Unavailable"]),
    ("leave_politely", ["ExecutionException"]),
    ("crash", ["ExecutionException", "Unavailable"]),
    ("overflow", ["ExecutionException"]),
    ("spin", ["DeadlineExceeded"]),
    ("flood", ["ExecutionException", "ResourceExhausted"]),
    ("print_flood", ["ExecutionException", "ResourceExhausted"]),
    ("raw_flood", ["ExecutionException", "ResourceExhausted"]),
    ("eat", ["ExecutionException", "ResourceExhausted"]),
    ("big", ["ExecutionException"]),
  ]

  @Test("a crash, an exit, an endless loop or a flood fails its own call and nothing else")
  func isolates() throws {
    let network = try Network(options: ["--loops", "1"])
    try network.deployPython(Self.procedures, source: Self.source)
    let gate = try SocketGate()
    // A call that runs all the while, and a caller that goes on beside.
    let patient = try network.lines()
    try patient.send(line: LineClient.request("test.hold", "[\(gate.port)]"))
    let visitor = try gate.admit()
    let neighbour = try network.lines()
    for (name, expected) in Self.failures {
      let caller = try network.lines()
      try caller.send(line: LineClient.request("test.\(name)", "[]"))
      #expect(try neighbour.call("test.good", "[1]") == .values([2]), "beside \(name)")
      let answer = try caller.receiveAnswer()
      #expect(answer.exceptionType.map(expected.contains) == true, "\(name): \(answer)")
      #expect(try caller.call("test.good", "[2]") == .values([3]), "after \(name)")
    }
    #expect(try neighbour.call("test.write_stdout") == .values([1]))
    visitor.letGo()
    #expect(try patient.receiveAnswer() == .values([1]))
  }

  @Test("an int beyond 64 bits is told as such")
  func bigInt() throws {
    let network = try Network()
    try network.deployPython(["big: {args: [], returns: [int]}"], source: "def big(): return 1 << 63\n")
    let answer = try network.lines().call("test.big")
    #expect(answer.exceptionType == "ExecutionException")
    #expect(answer.exceptionMessage?.contains("9223372036854775808") == true, "\(answer)")
  }

  @Test("a call whose caller is gone is ended, and so is one that is out of time")
  func endsAbandonedWork() async throws {
    let network = try Network(clients: ["c1"])
    try network.deployPython(["hold: {args: [int], returns: [int]}"], source: Self.source)
    let gate = try SocketGate()
    // An end of input alone is not an end: `nc` says so and waits for its answer. A reset is one.
    var caller: LineClient? = try network.lines(as: "c1")
    try caller?.send(line: LineClient.request("test.hold", "[\(gate.port)]"))
    let reset = try gate.admit()
    caller = nil
    try reset.waitUntilGone()

    let client = network.client()
    client.start("test.hold", [.int(Int64(gate.port))], on: "s1") { _ in }
    let closed = try gate.admit()
    await client.close()
    try closed.waitUntilGone()

    let hurried = try network.lines()
    try hurried.send(line: LineClient.request("test.hold", "[\(gate.port)]", more: #","timeout":0.2"#))
    let late = try gate.admit()
    #expect(try hurried.receiveAnswer().exceptionType == "DeadlineExceeded")
    try late.waitUntilGone()
  }

  @Test("a caller that has ended its input is still answered")
  func answersAfterTheEndOfInput() throws {
    let network = try Network()
    try network.deployPython(["hold: {args: [int], returns: [int]}"], source: Self.source)
    let gate = try SocketGate()
    let caller = try network.lines()
    try caller.send(line: LineClient.request("test.hold", "[\(gate.port)]"))
    caller.endInput()
    let visitor = try gate.admit()
    visitor.letGo()
    #expect(try caller.receiveAnswer() == .values([1]))
    #expect(try caller.receiveLine() == nil)
  }

  @Test("a peer that neither reads nor speaks delays nobody")
  func slowPeers() throws {
    let network = try Network(options: ["--loops", "1"])
    try network.deployPython(
      ["echo: {args: [str], returns: [str]}"], source: "def echo(text): return text\n")
    let text = String(repeating: "x", count: 100_000)
    // Ones that send half a request, and one that asks for far more than it reads.
    let silent = try (0..<50).map { _ in try network.lines() }
    for peer in silent { try peer.send(#"{"header":"RPC-R"#.utf8) }
    let greedy = try network.lines()
    let writer = Thread {
      // Blocks when the server reads it no more; ends with the connection.
      for _ in 0..<2000 {
        guard (try? greedy.send(line: LineClient.request("test.echo", "[\"\(text)\"]"))) != nil else { break }
      }
    }
    writer.start()
    let caller = try network.lines()
    for _ in 0..<50 {
      #expect(try caller.call("system.ping") == .values(["pong"]))
      #expect(try caller.call("test.echo", #"["quick"]"#) == .values(["quick"]))
    }
    // What waits for the greedy one is bounded: the server has not taken in all that it was sent.
    let memory = try String(contentsOfFile: "/proc/\(network.server("s1").pid)/status", encoding: .utf8)
    let resident = memory.split(separator: "\n").first { $0.hasPrefix("VmRSS:") }
      .flatMap { Int($0.split(whereSeparator: { !$0.isNumber }).first ?? "") }
    #expect((resident ?? .max) < 150_000, "\(resident ?? 0) KiB")
    greedy.abort()
    #expect(try caller.call("system.ping") == .values(["pong"]))
  }
}
