internal import Glibc
internal import RPCSystem
internal import RPCTransport

/// The end of a fork server that is no longer used. Its guardian is asked to kill it, its workers and what they started,
/// which takes some milliseconds, in which the loop goes on with its work.
internal final class ForkServerEnding: TimerTarget {
  /// The time that the guardian has before it is killed itself. The server, where it can, then ends the rest.
  private static let limitNanoseconds: UInt64 = 2_000_000_000
  private static let lookNanoseconds: UInt64 = 5_000_000
  private static let waitMicroseconds: UInt32 = 500

  private let guardian: pid_t
  private let limit: UInt64
  private(set) var isOver = false

  init(of guardian: pid_t, on loop: EventLoop) {
    self.guardian = guardian
    limit = SystemClock.monotonicNanoseconds() &+ Self.limitNanoseconds
    // Its id is its own until it is waited for. Somebody may have stopped it.
    kill(guardian, SIGTERM)
    kill(guardian, SIGCONT)
    loop.schedule(after: Self.lookNanoseconds, self)
  }

  func timerFired(tag: UInt64, on loop: EventLoop) {
    if !look() { loop.schedule(after: Self.lookNanoseconds, self) }
  }

  /// Waits until the processes are gone.
  func wait() {
    while !look() { usleep(Self.waitMicroseconds) }
  }

  private func look() -> Bool {
    if isOver { return true }
    let ended = waitpid(guardian, nil, WNOHANG)
    if ended == 0, SystemClock.monotonicNanoseconds() > limit { kill(guardian, SIGKILL) }
    isOver = ended == guardian || (ended < 0 && errno != EINTR)
    return isOver
  }
}
