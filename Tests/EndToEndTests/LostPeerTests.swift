import Foundation
import RPCClient
import RPCWire
import TestSupport
import Testing

@Suite(
  "A peer that is lost without a FIN",
  .enabled(if: SeparateHost.isPermitted, "networks of their own take root and a kernel with veth"))
struct LostPeerTests {
  /// A server behind a cable and one on this side, with one service on both of them.
  private final class Pair {
    static let port = 7001
    let directory = TemporaryDirectory()
    let lost: SeparateHost
    let server: ChildProcess
    let topology: Topology

    init(_ number: Int, options: [String]) throws {
      let data = directory.path
      lost = try SeparateHost(number) { _, far in
        [Programs.server, far, "\(Self.port)", "--data", "\(data)/far"] + options
      }
      let port = try FreePort.take()
      server = try ChildProcess(Programs.server, [lost.near, "\(port)", "--data", "\(data)/near"])
      topology = Topology(
        servers: [
          .init(name: "far", host: lost.far, port: UInt16(Self.port)),
          .init(name: "near", host: lost.near, port: UInt16(port)),
        ],
        services: [.init(name: "test", providers: ["far", "near"], tenants: ["me"])])
      try lost.program.waitForLine("listening on")
      try server.waitForLine("listening on")
      try directory.write(
        """
        import time

        def one():
            return 1

        def nap(seconds):
            print('asleep')
            time.sleep(seconds)
            return seconds
        """, to: "test.py")
      try directory.write(
        """
        network:
          servers:
            - far: {ip: \(lost.far), port: \(Self.port)}
            - near: {ip: \(lost.near), port: \(port)}
          clients:
            - me: {ip: \(lost.near)}
        service:
          - test: {providers: [far, near], tenants: [me], rpcs: [one, nap]}
        rpc:
          test:
            - one: {args: [], returns: [int], src: test.py}
            - nap: {args: [float], returns: [float], src: test.py, timeout: 1h}
        """, to: "init.yaml")
      let outcome = try run(Programs.initializer, ["\(data)/init.yaml"])
      guard outcome.ending == .code(0) else { throw Failure("the initializer failed: \(outcome)") }
    }

    deinit { server.killAtOnce() }
  }

  @Test(
    "its calls end by the keepalive on both sides, others are served elsewhere, and it is called again later")
  func calls() async throws {
    let pair = try Pair(0, options: ["--keepalive", "500"])
    var options = ClientOptions()
    options.keepalive = .milliseconds(500)
    options.connectTimeout = .milliseconds(500)
    options.reconnect = Backoff(initial: .milliseconds(20), maximum: .milliseconds(200))
    let client = RPCClient(topology: pair.topology, options: options)
    // Longer than any test waits: it ends because of the loss or not at all.
    let nap = Task { () -> RPCError? in
      do throws(RPCError) {
        _ = try await client.invoke(
          "test.nap", [.float(3000)], on: "far", options: CallOptions(deadline: nil, retry: .none))
        return nil
      } catch {
        return error
      }
    }
    try pair.lost.program.waitForLine("asleep", on: .errors)
    try pair.lost.cut()
    let error = try #require(await nap.value)
    #expect(error.executed == .maybe && error.server == "far", "\(error)")
    #expect(error.message.hasSuffix("has stopped answering: no PONG within 500 ms"), "\(error)")
    for _ in 0..<100 { #expect(try await client.invoke("test.one", []).server == "near") }
    try pair.lost.program.waitForLine("the client has stopped answering: no PONG within 500 ms", on: .errors)

    try pair.lost.restore()
    while try await client.invoke("test.one", []).server != "far" {}
    // The server ended the call that it had, so nothing is in flight there but what asks.
    let stats = try await client.invoke("system.stats", [], on: "far").values
    #expect(try #require(stats.first?["calls_in_flight"]?.intValue) <= 1)
    await client.close()
  }

  @Test("a reply that is never acknowledged, and an idle connection, end within --ack-timeout")
  func replies() throws {
    let pair = try Pair(1, options: ["--ack-timeout", "2000"])
    let idle = try LineClient(host: pair.lost.far, port: Pair.port)
    #expect(try idle.call("test.one").exceptionType == nil)
    // The json dialect has no PING: only what is not acknowledged shows that nobody is there.
    let waiting = try LineClient(host: pair.lost.far, port: Pair.port)
    try waiting.send(line: LineClient.request("test.nap", "[0.5]"))
    try pair.lost.program.waitForLine("asleep", on: .errors)
    try pair.lost.cut()
    // The system's word for it is its own: timed out, or no route.
    try pair.lost.program.waitFor(.errors, "two connections whose peer is lost") { text in
      text.split(separator: "\n").count { $0.contains(" disconnected: read: ") } == 2 ? () : nil
    }
    withExtendedLifetime((idle, waiting)) {}
  }
}
