import Logging
import RPCClient
import RPCServer
import RPCServiceLifecycle
import ServiceLifecycle
import Testing

@Suite("A server in a group of services")
struct ServerServiceTests {
  private static func group(_ services: [ServiceGroupConfiguration.ServiceConfiguration]) -> ServiceGroup {
    ServiceGroup(configuration: .init(services: services, logger: .init(label: "test")))
  }

  /// A procedure that waits until it is told to go on.
  private static func server(_ gate: Gate) throws -> Server {
    let wait = NativeProcedure(suspending: "test.wait") { () async -> String in
      await gate.entered()
      return "done"
    }
    return try Server(host: "127.0.0.1", port: 0, procedures: [wait])
  }

  private actor Gate {
    private var isOpen = false
    private var waiting: [CheckedContinuation<Void, Never>] = []
    private var arrival: CheckedContinuation<Void, Never>?
    private var hasArrived = false

    func entered() async {
      hasArrived = true
      arrival?.resume()
      arrival = nil
      guard !isOpen else { return }
      await withCheckedContinuation { waiting.append($0) }
    }

    func untilEntered() async {
      guard !hasArrived else { return }
      await withCheckedContinuation { arrival = $0 }
    }

    func open() {
      isOpen = true
      for one in waiting { one.resume() }
      waiting = []
    }
  }

  @Test("a graceful shutdown of the group drains: a call in flight is answered, then the group ends")
  func drains() async throws {
    let gate = Gate()
    let server = try Self.server(gate)
    let group = Self.group([.init(service: ServerService(server))])
    async let ended: Void = group.run()
    while server.port == 0 { await Task.yield() }
    let client = RPCClient(
      topology: Topology(servers: [.init(name: "s1", host: "127.0.0.1", port: UInt16(server.port))]))
    async let answer: String = client.call("test.wait", on: "s1")
    await gate.untilEntered()
    await group.triggerGracefulShutdown()
    await gate.open()
    #expect(try await answer == "done")
    try await ended
    await client.close()
  }

  @Test("cancelling the group's task ends the server at once")
  func cancelled() async throws {
    let gate = Gate()
    let server = try Self.server(gate)
    let group = Self.group([.init(service: ServerService(server))])
    let running = Task { try await group.run() }
    while server.port == 0 { await Task.yield() }
    running.cancel()
    _ = await running.result
    await server.untilStopped()
    await gate.open()
  }

  @Test("a server that cannot start fails its group, with the reason")
  func cannotStart() async throws {
    let gate = Gate()
    let first = try Self.server(gate)
    try first.start()
    let second = try Server(host: "127.0.0.1", port: first.port)
    await #expect {
      try await Self.group([.init(service: ServerService(second))]).run()
    } throws: { "\($0)".contains("ddress already in use") }
    second.stopNow()
    first.stop()
  }
}
