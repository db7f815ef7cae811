import Foundation
import RPCWire
import TestSupport
import Testing

@Suite("The server's log")
struct ServerLogTests {
  private func network(_ options: [String]) throws -> Network {
    let network = try Network(clients: ["c1"], options: options)
    try network.directory.write(
      """
      def good(number):
          print("working on", number)
          return number

      def bad():
          raise ValueError("it went wrong")
      """, to: "f.py")
    try network.describe(
      """
      service:
        - open: {providers: [s1], tenants: [me], rpcs: [good, bad]}
        - closed: {providers: [s1], tenants: [c1], rpcs: [good]}
      rpc:
        open:
          - good: {args: [int], returns: [int], src: f.py}
          - bad: {args: [], returns: [], src: f.py}
        closed:
          - good: {args: [int], returns: [int], src: f.py}
      """)
    try network.deploy()
    return network
  }

  /// One of each: an execution, an exception, a refusal.
  private func act(_ network: Network) throws {
    let caller = try network.lines()
    #expect(try caller.call("open.good", "[7]") == .values([7]))
    #expect(try caller.call("open.bad").exceptionType == "ExecutionException")
    #expect(try caller.call("closed.good", "[7]").exceptionType == "ClientNotRegistered")
    #expect(try network.lines(as: "c1").call("closed.good", "[8]") == .values([8]))
  }

  @Test("it tells connections, executions, exceptions, refusals and output, each with its time")
  func human() throws {
    let network = try network([])
    try act(network)
    let server = try network.server("s1")
    for fragment in [
      "connection from 127.0.0.1:", "open.good(int) ok", "ExecutionException", "it went wrong", "f.py:6",
      "refused", "ClientNotRegistered", "closed.good", "working on 7", "disconnected",
      "connection from 127.0.0.1:\(network.clientPorts["c1"] ?? 0)",
    ] {
      try server.waitForLine(fragment, on: .errors)
    }
    server.signal(SIGTERM)
    try server.waitForEnd()
    for line in server.errorText.split(separator: "\n") {
      #expect(
        line.wholeMatch(of: /\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (error  |warning|info   |debug  ) .*/)
          != nil, "\(line)")
    }
  }

  @Test("as json each line is an object with time, level and event")
  func json() throws {
    let network = try network(["--log-format", "json"])
    try act(network)
    let server = try network.server("s1")
    server.signal(SIGTERM)
    try server.waitForEnd()
    var events: Set<String> = []
    for line in server.errorText.split(separator: "\n") {
      let object = try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any]
      #expect(object?["time"] is String, "\(line)")
      #expect(object?["level"] is String, "\(line)")
      if let event = object?["event"] as? String { events.insert(event) }
    }
    #expect(events.isSuperset(of: ["connection", "call", "refused call", "output"]), "\(events)")
  }

  @Test("levels leave out what is below them, and a file takes the log")
  func levels() throws {
    let directory = TemporaryDirectory()
    let network = try network(["--log-level", "warning", "--log-file", "\(directory.path)/log"])
    try act(network)
    let server = try network.server("s1")
    server.signal(SIGTERM)
    try server.waitForEnd()
    #expect(server.errorText.isEmpty)
    let log = try directory.read("log")
    #expect(log.contains("it went wrong"))
    #expect(log.contains("ClientNotRegistered"))
    #expect(!log.contains("open.good(int) ok"))
    #expect(!log.contains("connection from"))
  }

  @Test("SIGHUP opens the file again, after it was moved away")
  func reopens() throws {
    let directory = TemporaryDirectory()
    let network = try network(["--log-file", "\(directory.path)/log"])
    try act(network)
    try FileManager.default.moveItem(atPath: "\(directory.path)/log", toPath: "\(directory.path)/old")
    let server = try network.server("s1")
    server.signal(SIGHUP)
    // Calls until the new file is there: signals take their time.
    let caller = try network.lines()
    let deadline = Date(timeIntervalSinceNow: ChildProcess.timeoutSeconds)
    while !directory.exists("log"), Date() < deadline { _ = try caller.call("open.good", "[1]") }
    _ = try caller.call("open.good", "[2]")
    server.signal(SIGTERM)
    try server.waitForEnd()
    #expect(try directory.read("log").contains("open.good(int) ok"))
    #expect(try directory.read("old").contains("it went wrong"))
  }
}
