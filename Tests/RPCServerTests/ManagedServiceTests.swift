import Glibc
import RPCSystem
import RPCTransport
import RPCWire
import TestSupport
import Testing

@testable import RPCServer

@Suite("A server that a service manager started")
struct ManagedServiceTests {
  private func server(_ change: (inout ServerOptions) -> Void = { _ in }) throws -> Server {
    var options = ServerOptions()
    options.loops = 2
    change(&options)
    return try Server(
      host: "127.0.0.1", port: 0, procedures: [NativeProcedure("math.add") { (a: Int, b: Int) in a + b }],
      options: options)
  }

  @Test("it leaves its socket with the manager, then says that it serves")
  func start() throws {
    let manager = try StandInServiceManager()
    let server = try server()
    defer { server.stopNow() }
    try ManagedService(notifier: ServiceNotifier(address: manager.address), inherited: []).start(server)
    let kept = try manager.receive()
    #expect(kept.lines == ["FDSTORE=1", "FDNAME=listener"])
    let descriptor = try #require(kept.descriptors.first)
    #expect(Socket.listens(descriptor, on: server.localAddress))
    close(descriptor)
    #expect(try manager.receive().lines == ["READY=1", "STATUS=nothing deployed yet"])
  }

  /// A socket as an earlier process left it.
  private func listener(on ip: String = "127.0.0.1") throws -> (raw: Int32, address: SocketAddress) {
    let address = try #require(SocketAddress(ip: ip, port: 0))
    let socket = try Socket.listen(on: address, backlog: 8)
    let raw = socket.release()
    return (raw, try #require(SocketAddress.local(of: raw)))
  }

  private func start(_ server: Server, under manager: StandInServiceManager, inheriting raw: Int32) throws {
    let service = ManagedService(
      notifier: ServiceNotifier(address: manager.address),
      inherited: [InheritedDescriptor(name: "listener", raw: raw)])
    try service.start(server)
  }

  @Test("it goes on with a socket of its address, and serves who connected before it started")
  func inherits() throws {
    let manager = try StandInServiceManager()
    let (raw, address) = try listener()
    // Waits in the backlog of a socket that nobody accepts from.
    let early = try RawPeer(port: address.port)
    let server = try server()
    defer { server.stopNow() }
    try start(server, under: manager, inheriting: raw)
    #expect(server.port == address.port)
    // Nothing new to keep.
    #expect(try manager.receive().lines.first == "READY=1")
    let request = #"{"header":"RPC-REQ","value":{"service":"math","rpc":"add","arguments":[1,2]}}"#
    #expect(early.send(Array(request.utf8) + [10]))
    #expect(try #require(early.nextLine()).contains("3"))
  }

  @Test("a socket of another address is closed and given back, and its own kept instead")
  func addressChanged() throws {
    let manager = try StandInServiceManager()
    let (raw, _) = try listener(on: "127.0.0.2")
    let server = try server()
    defer { server.stopNow() }
    try start(server, under: manager, inheriting: raw)
    #expect(try manager.receive().lines == ["FDSTOREREMOVE=1", "FDNAME=listener"])
    let kept = try manager.receive("FDSTORE=1")
    let descriptor = try #require(kept.descriptors.first)
    #expect(Socket.listens(descriptor, on: server.localAddress))
    close(descriptor)
  }

  /// Returns once a loop has begun a turn after now and ended it.
  private func settle(_ mailbox: Mailbox) {
    for _ in 0..<2 {
      let latch = Latch()
      mailbox.post { _ in latch.signal() }
      latch.wait()
    }
  }

  @Test("the watchdog is fed only after every loop has answered, so that one that is stuck starves it")
  func stuckLoop() throws {
    let manager = try StandInServiceManager()
    let notifier = ServiceNotifier(address: manager.address)
    let server = try server { $0.loops = 3 }
    defer { server.stopNow() }
    let clock = ManualClock()
    let main = try LoopThread(name: "main", clock: clock) { loop in
      LoopWatchdog(of: server.core, on: loop, interval: 1_000_000_000) { try? notifier.isAlive() }.start()
    }
    defer { main.stop() }
    try manager.receive("WATCHDOG=1")
    clock.advance(by: .seconds(1))
    try manager.receive("WATCHDOG=1")

    // One of three holds still.
    let (held, release) = (Latch(), Latch())
    server.core.loops[1].mailbox.post { _ in
      held.signal()
      release.wait()
    }
    held.wait()
    for _ in 0..<5 {
      clock.advance(by: .seconds(1))
      settle(main.mailbox)
      for index in [0, 2] { settle(server.core.loops[index].mailbox) }
    }
    settle(main.mailbox)
    #expect(try manager.takeAll().map(\.lines) == [])
    release.signal()
    try manager.receive("WATCHDOG=1")
  }

  @Test("what it serves is told whenever that changes")
  func status() throws {
    let manager = try StandInServiceManager()
    let server = try server()
    let service = ManagedService(notifier: ServiceNotifier(address: manager.address), inherited: [])
    let main = try LoopThread(name: "main") { loop in service.watch(server, on: loop) }
    defer { main.stop() }
    settle(main.mailbox)
    server.core.setDegraded("the disk is read-only")
    #expect(try manager.receive().lines == ["STATUS=nothing deployed yet; degraded: the disk is read-only"])
    server.core.setDegraded(nil)
    #expect(try manager.receive().lines == ["STATUS=nothing deployed yet"])
    var generation = ActiveGeneration()
    generation.serial = 7
    generation.serverName = "s1"
    _ = server.core.activate(generation)
    #expect(try manager.receive().lines == ["STATUS=generation 7, 0 procedures as 's1'"])
    server.stopNow()
  }

  @Test("a reload and the end are told before and after, with the time that the drain may take")
  func reloadAndStop() throws {
    let manager = try StandInServiceManager()
    let server = try server { $0.drainTimeoutMilliseconds = 40_000 }
    defer { server.stopNow() }
    let service = ManagedService(notifier: ServiceNotifier(address: manager.address), inherited: [])
    service.reload(server) {
      #expect((try? manager.receive().lines.first) == "RELOADING=1")
    }
    #expect(try manager.receive().lines.first == "READY=1")
    service.isStopping(server)
    let stopping = try manager.receive("STOPPING=1")
    #expect(stopping.value("EXTEND_TIMEOUT_USEC") == "45000000")
  }
}
