internal import RPCTransport

/// Tells somebody again and again that every loop of a server still turns: each is asked, and only when all have
/// answered is it said. One that is stuck so keeps it from being said, however well the others are.
internal final class LoopWatchdog: TimerTarget {
  private let core: ServerCore
  private let loop: EventLoop
  private let intervalNanoseconds: UInt64
  private let tell: () -> Void
  private var isWaiting = false

  /// - Parameters:
  ///   - loop: where this belongs; none of the server's.
  ///   - interval: how often the loops are asked, in nanoseconds.
  init(of core: ServerCore, on loop: EventLoop, interval: UInt64, tell: @escaping () -> Void) {
    self.core = core
    self.loop = loop
    intervalNanoseconds = max(1, interval)
    self.tell = tell
  }

  func start() { timerFired(tag: 0, on: loop) }

  func timerFired(tag: UInt64, on loop: EventLoop) {
    loop.schedule(after: intervalNanoseconds, self)
    guard !isWaiting else { return }
    isWaiting = true
    let confined = LoopConfined(self, to: loop)
    let mailbox = loop.mailbox
    core.onEveryLoop({ _ in }) {
      mailbox.post { loop in confined.on(loop).answered() }
    }
  }

  private func answered() {
    isWaiting = false
    tell()
  }
}
