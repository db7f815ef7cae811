import Foundation
import RPCClient
import TestSupport
import Testing

@Suite("A procedure that keeps crashing its worker", .serialized)
struct CrashTests {
  private static let python = """
    import os, signal

    def crash(): os.kill(os.getpid(), signal.SIGSEGV)

    def leave(): os._exit(3)

    def fail(): raise ValueError("again")

    def good(): return 1
    """

  private static func describe(_ network: Network, note: String = "") throws {
    try network.directory.write(python + note, to: "test.py")
    try network.directory.write("def other(): return 2\(note)\n", to: "other.py")
    try network.describe(
      """
      service:
        - test: {providers: [s1], tenants: [me], rpcs: [crash, leave, fail, good]}
        - other: {providers: [s1], tenants: [me], rpcs: [other]}
      rpc:
        test:
          - crash: {args: [], returns: [], src: test.py}
          - leave: {args: [], returns: [], src: test.py}
          - fail: {args: [], returns: [], src: test.py}
          - good: {args: [], returns: [int], src: test.py}
        other:
          - other: {args: [], returns: [int], src: other.py}
      """)
    try network.deploy()
  }

  @Test(
    "is put in quarantine, by itself, over all loops, is shown everywhere, and is lifted by the next deployment"
  )
  func quarantine() throws {
    let network = try Network(options: ["--loops", "2"])
    try Self.describe(network)
    // Connections go to the loops in turn.
    let callers = try (0..<4).map { _ in try network.lines() }
    for number in 0..<5 {
      let answer = try callers[number % 4].call("test.crash")
      #expect(answer.exceptionMessage?.contains("signal 11 (SIGSEGV)") == true, "\(number): \(answer)")
      // Raising is no crash, however often it is done.
      #expect(try callers[number % 4].call("test.fail").exceptionType == "ExecutionException")
    }
    for caller in callers {
      let refused = try caller.call("test.crash")
      #expect(refused.exceptionType == "Unavailable", "\(refused)")
      let message = refused.exceptionMessage ?? ""
      #expect(
        message.contains(
          "test.crash is in quarantine: 5 calls within 60 s ended their worker, the last one by signal 11 (SIGSEGV), at 20"
        ),
        "\(message)")
      #expect(message.contains("the next deployment ends that"))
      #expect(try caller.call("test.good") == .values([1]))
      #expect(try caller.call("other.other") == .values([2]))
    }
    for _ in 0..<10 { #expect(try callers[0].call("test.fail").exceptionType == "ExecutionException") }
    let server = try network.server("s1")
    try server.waitForLine("test.crash() is in quarantine: 5 calls within 60 s", on: .errors)
    let described = try network.shell("describe test.crash", "describe test.good")
    #expect(described.output.contains("quarantine"), "\(described)")
    #expect(described.output.components(separatedBy: "ended their worker").count == 2, "\(described)")
    let stats = try network.shell("stats s1", options: ["-o", "table"])
    #expect(stats.output.contains("in quarantine"), "\(stats)")
    let metrics = try run("curl", ["-s", "http://127.0.0.1:\(network.port("s1"))/metrics"])
    #expect(
      metrics.output.contains(
        "simplerpc_procedure_quarantined{service=\"test\",procedure=\"crash\",types=\"\"} 1\n"), "\(metrics)")
    // A deployment of something else ends it too.
    try Self.describe(network, note: "\n# changed")
    try server.waitForLine("test.crash() is no longer in quarantine", on: .errors)
    let again = try callers[0].call("test.crash")
    #expect(again.exceptionMessage?.contains("signal 11") == true, "\(again)")
    #expect(try !network.shell("describe test.crash").output.contains("quarantine"))
  }

  @Test("exits count as signals do, what waits fails at once, and the bounds are flags")
  func flags() throws {
    let network = try Network(options: ["--loops", "1", "--quarantine-crashes", "2", "--python-workers", "1"])
    try Self.describe(network)
    let callers = try (0..<6).map { _ in try network.lines() }
    for caller in callers { try caller.send(line: LineClient.request("test.leave", "[]")) }
    let answers = try callers.map { try $0.receiveAnswer() }
    let crashed = answers.filter { $0.exceptionType == "ExecutionException" }
    let refused = answers.filter { $0.exceptionMessage?.contains("2 calls within 60 s") == true }
    #expect(crashed.count >= 2 && refused.count >= 1 && crashed.count + refused.count == 6, "\(answers)")
    let never = try Network(options: ["--quarantine-crashes", "0"])
    try Self.describe(never)
    let caller = try never.lines()
    for _ in 0..<7 { #expect(try caller.call("test.leave").exceptionType == "ExecutionException") }
  }
}
