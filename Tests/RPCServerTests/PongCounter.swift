import Glibc
import RPCSystem
import RPCTransport
import RPCWire

/// Reads what a server answers to a flood, on a thread of its own: counts PONGs, and notices the end.
///
/// `@unchecked Sendable`: the peer's descriptor is written to by the test and read from by this thread alone;
/// its buffer and its end are the thread's until that has finished.
final class PongCounter: @unchecked Sendable {
  private let peer: RawPeer
  private let seen = Lock((count: 0, isOver: false))
  private let finished = Latch()

  init(_ peer: RawPeer) { self.peer = peer }

  func start() throws {
    try LoopThread.spawn(name: "pongs") { [self] in
      while let frame = peer.next() {
        if frame.kind == .pong { seen.withLock { $0.count += 1 } }
      }
      seen.withLock { $0.isOver = true }
      finished.signal()
    }
  }

  /// Waits until as many have come; false where the connection ended first.
  func reached(_ wanted: Int) -> Bool {
    while true {
      let (count, isOver) = seen.withLock { $0 }
      if count >= wanted { break }
      if isOver { return false }
      sched_yield()
    }
    peer.endSending()
    finished.wait()
    return true
  }

  /// Waits until the server has ended the connection.
  func ended() -> Bool {
    finished.wait()
    return peer.ended
  }
}
