internal import Glibc
internal import RPCSystem
internal import RPCTransport

/// A server program as a service of systemd, or of whatever speaks as it does: says when it serves, reloads and stops,
/// that all its loops turn, what it serves, and leaves its listening socket with the manager, so that who connects
/// while it is started again waits instead of being refused. Without a manager it does nothing.
///
/// It belongs to the program's main thread.
internal struct ManagedService {
  /// By which the manager keeps the listening socket.
  static let listenerName = "listener"
  /// What ending may take beyond the drain: loops that finish their turn, and the log.
  static let stopMarginMicroseconds: UInt64 = 5_000_000
  /// Times that the loops are asked in the time that the manager gives them.
  static let asksPerWatchdogTime: UInt64 = 4

  let notifier: ServiceNotifier?
  /// Sockets that came with the process.
  let inherited: [InheritedDescriptor]

  /// What the environment says. Call it before other threads run.
  static func take() -> ManagedService {
    ManagedService(notifier: .take(), inherited: InheritedDescriptor.take())
  }

  // MARK: The start

  /// Starts a server, on the socket that an earlier process left where that is its address, and leaves its socket with
  /// the manager.
  func start(_ server: Server) throws {
    var own: InheritedDescriptor?
    for descriptor in inherited {
      if own == nil, server.isOwnListener(descriptor.raw) {
        own = descriptor
        continue
      }
      // The address was changed meanwhile, or it is nothing of ours.
      descriptor.close()
      if descriptor.name == Self.listenerName { report(server) { try $0.forget(named: descriptor.name) } }
    }
    try server.start(inheriting: own?.raw)
    if own != nil { server.core.log.note("goes on with the socket that the service manager kept") }
    if own == nil, let descriptor = server.listeningDescriptor {
      report(server) { try $0.keep(descriptor, named: Self.listenerName) }
    }
    report(server) { try $0.isReady(status: server.core.statusText) }
  }

  /// Tells why the program ends, where the manager shows it.
  func failed(_ message: String) { try? notifier?.tell(status: message) }

  // MARK: While it runs

  /// Watches over the server's loops from `loop`, the main thread's, and tells what is served whenever that changes.
  func watch(_ server: Server, on loop: EventLoop) {
    guard let notifier else { return }
    let mailbox = loop.mailbox
    server.core.onStatusChange {
      mailbox.post { _ in report(server) { try $0.tell(status: server.core.statusText) } }
    }
    guard let limit = notifier.watchdogMicroseconds else { return }
    LoopWatchdog(of: server.core, on: loop, interval: limit * 1000 / Self.asksPerWatchdogTime) {
      // One that is lost is made up for by the next.
      try? notifier.isAlive()
    }.start()
  }

  /// Tells that files are read again while `body` does it.
  func reload(_ server: Server, _ body: () -> Void) {
    report(server) { try $0.isReloading() }
    body()
    report(server) { try $0.isReady(status: server.core.statusText) }
  }

  func isStopping(_ server: Server) {
    let drain = UInt64(max(0, server.core.options.drainTimeoutMilliseconds)) * 1000
    report(server) { try $0.isStopping(withinMicroseconds: drain + Self.stopMarginMicroseconds) }
  }

  private func report(_ server: Server, _ body: (ServiceNotifier) throws -> Void) {
    guard let notifier else { return }
    do {
      try body(notifier)
    } catch {
      server.core.log.warn("\(error)")
    }
  }
}
