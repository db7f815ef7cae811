internal import RPCTransport

/// Has the parent look after the workers, often while calls run and a few times more after the last one; and notices
/// when the parent does not answer.
internal final class PythonWatch: TimerTarget {
  /// Looks after the last call ended: two show whether something goes on in an idle worker.
  private static let idleLooks = 3
  /// Between those.
  private static let idleNanoseconds: UInt64 = 500_000_000

  private let loop: EventLoop
  private let limits: RuntimeLimits
  private weak var runtime: PythonRuntime?
  private var timer: TimerID?
  /// When the parent was asked what it has not answered.
  private var askedAt: UInt64?
  private var looksLeft = 0

  init(loop: EventLoop, limits: RuntimeLimits, runtime: PythonRuntime) {
    self.loop = loop
    self.limits = limits
    self.runtime = runtime
  }

  func workBegan() {
    looksLeft = Self.idleLooks
    if timer == nil { schedule(after: UInt64(limits.pythonLookMilliseconds) &* 1_000_000) }
  }

  func answered() {
    askedAt = nil
  }

  /// The parent that was asked is gone.
  func parentEnded() {
    askedAt = nil
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
    guard let runtime, let parent = runtime.parent else { return }
    let isBusy = runtime.isBusy
    if let askedAt {
      let limit = parent.isReady ? limits.pythonParentMilliseconds : limits.pythonStartMilliseconds
      let silence = loop.now &- (parent.isReady ? askedAt : parent.startedAt)
      if silence > UInt64(limit) &* 1_000_000 {
        runtime.parentIsSilent("it did not \(parent.isReady ? "answer" : "start") within \(limit) ms")
        return
      }
    } else {
      askedAt = loop.now
      parent.lookAfter(runtime.workerViews)
      looksLeft -= 1
    }
    if isBusy { looksLeft = Self.idleLooks }
    guard isBusy || looksLeft > 0 || askedAt != nil else { return }
    schedule(after: isBusy ? UInt64(limits.pythonLookMilliseconds) &* 1_000_000 : Self.idleNanoseconds)
  }
}
