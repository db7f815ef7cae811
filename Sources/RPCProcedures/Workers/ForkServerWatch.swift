internal import RPCTransport

/// Has the fork server look after the workers, often while calls run and a few times more after the last one; and
/// notices when it does not answer.
internal final class ForkServerWatch: TimerTarget {
  /// Looks after the last call ended: two show whether something goes on in an idle worker.
  private static let idleLooks = 3
  /// Between those.
  private static let idleNanoseconds: UInt64 = 500_000_000

  private let loop: EventLoop
  private let bounds: WorkerLimits
  private weak var launcher: ForkServerLauncher?
  private var timer: TimerID?
  /// When the server was asked what it has not answered.
  private var askedAt: UInt64?
  private var looksLeft = 0
  /// Whether its answer was due when this last looked. It may have come meanwhile and not have been read: then it is read
  /// before the next look.
  private var isOverdue = false

  init(loop: EventLoop, bounds: WorkerLimits, launcher: ForkServerLauncher) {
    self.loop = loop
    self.bounds = bounds
    self.launcher = launcher
  }

  func workBegan() {
    looksLeft = Self.idleLooks
    if timer == nil { schedule(after: UInt64(bounds.lookMilliseconds) &* 1_000_000) }
  }

  /// It has answered, or it is gone.
  func answered() {
    askedAt = nil
    isOverdue = false
  }

  func stop() {
    if let timer { loop.cancel(timer) }
    timer = nil
  }

  private func schedule(after nanoseconds: UInt64) {
    timer = loop.schedule(after: nanoseconds, self)
  }

  func timerFired(tag: UInt64, on loop: EventLoop) {
    timer = nil
    guard let launcher, let server = launcher.server, let workers = launcher.observer else { return }
    let isBusy = workers.isBusy
    if let askedAt {
      let limit = server.isReady ? bounds.parentMilliseconds : bounds.startMilliseconds
      let silence = loop.now &- (server.isReady ? askedAt : server.startedAt)
      if silence > UInt64(limit) &* 1_000_000 {
        if isOverdue {
          launcher.serverIsSilent("it did not \(server.isReady ? "answer" : "start") within \(limit) ms")
          return
        }
        isOverdue = true
      }
    } else {
      askedAt = loop.now
      server.lookAfter(workers.workerViews)
      looksLeft -= 1
    }
    if isBusy { looksLeft = Self.idleLooks }
    guard isBusy || looksLeft > 0 || askedAt != nil else { return }
    schedule(after: isBusy ? UInt64(bounds.lookMilliseconds) &* 1_000_000 : Self.idleNanoseconds)
  }
}
