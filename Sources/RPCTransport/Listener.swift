internal import CLinux
internal import Glibc
package import RPCSystem

/// Accepts connections on one address and hands them to its owner. When the process runs out of descriptors
/// it sacrifices a reserve one to turn the caller away, instead of leaving it in the backlog for ever.
package final class Listener: EventHandler, TimerTarget {
  /// What happened to a connection attempt.
  package enum Outcome: ~Copyable {
    case accepted(Descriptor, from: SocketAddress)
    /// Turned away, since the process may open no more descriptors.
    case refused(SystemError)
  }

  /// Connections accepted in one turn, so that a storm of them leaves time for those that are there.
  package static let acceptsPerTurn = 64
  /// How long accepting rests when even the reserve descriptor did not help, in nanoseconds.
  package static let pauseNanoseconds: UInt64 = 50_000_000

  package let address: SocketAddress
  /// The socket, for somebody who duplicates it while this lives.
  package var descriptor: Int32 { socket.raw }
  private let loop: EventLoop
  private let socket: Descriptor
  private var reserve: Int32
  private var watch: Watch?
  private let accept: (consuming Outcome) -> Void

  /// - Parameter inherited: a socket that listens on the address already, with those who wait for it.
  package init(
    on address: SocketAddress, inherited: consuming Descriptor? = nil, backlog: Int32,
    limits: ConnectionLimits = ConnectionLimits(), loop: EventLoop,
    accept: @escaping (consuming Outcome) -> Void
  ) throws(SystemError) {
    if let inherited {
      // Once more for the backlog of this process.
      guard Glibc.listen(inherited.raw, backlog) == 0 else { throw .last("listen on \(address)") }
      socket = inherited
    } else {
      socket = try Socket.listen(on: address, backlog: backlog)
    }
    Socket.endDeadPeers(socket, afterMilliseconds: limits.acknowledgeMilliseconds)
    // Port 0 asks for a free one: tell which it became.
    self.address = SocketAddress.local(of: socket.raw) ?? address
    self.loop = loop
    self.accept = accept
    reserve = rpc_open("/dev/null", O_RDONLY | O_CLOEXEC, 0)
  }

  deinit {
    if reserve >= 0 { _ = Glibc.close(reserve) }
  }

  package func start() throws(SystemError) {
    guard watch == nil else { return }
    watch = try loop.watch(socket.raw, .readable, self)
  }

  /// Takes no more connections; those in the backlog are dropped with the listener.
  package func stop() {
    if let watch { loop.unwatch(watch) }
    watch = nil
  }

  package func ready(_ readiness: Readiness, on loop: EventLoop) {
    for _ in 0..<Self.acceptsPerTurn {
      switch acceptOne() {
      case .connection(let raw):
        let descriptor = Descriptor(raw)
        Socket.setNoDelay(raw)
        // A peer that is gone already has no name; nobody misses the connection.
        guard let peer = SocketAddress.peer(of: raw) else { continue }
        accept(.accepted(descriptor, from: peer))
      case .again: continue
      case .none: return
      case .outOfDescriptors(let code): return turnAway(code)
      }
    }
  }

  private enum Attempt {
    case connection(Int32)
    case again
    case none
    case outOfDescriptors(Int32)
  }

  private func acceptOne() -> Attempt {
    let raw = rpc_accept(socket.raw, nil, nil)
    if raw >= 0 { return .connection(raw) }
    switch errno {
    case EAGAIN: return .none
    case EMFILE, ENFILE, ENOBUFS, ENOMEM: return .outOfDescriptors(errno)
    // The others are the fate of one attempt (accept(2)): the next may be fine.
    default: return .again
    }
  }

  private func turnAway(_ code: Int32) {
    if reserve >= 0 {
      _ = Glibc.close(reserve)
      let raw = rpc_accept(socket.raw, nil, nil)
      if raw >= 0 { _ = Glibc.close(raw) }
      reserve = rpc_open("/dev/null", O_RDONLY | O_CLOEXEC, 0)
    }
    accept(.refused(SystemError(code: code, operation: "accept on \(address)")))
    if reserve < 0 {
      stop()
      loop.schedule(after: Self.pauseNanoseconds, self)
    }
  }

  package func timerFired(tag: UInt64, on loop: EventLoop) {
    if reserve < 0 { reserve = rpc_open("/dev/null", O_RDONLY | O_CLOEXEC, 0) }
    // Failing again only means another rest.
    do { try start() } catch { loop.schedule(after: Self.pauseNanoseconds, self) }
  }
}
