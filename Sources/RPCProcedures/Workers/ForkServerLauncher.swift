internal import RPCSystem
internal import RPCTransport
internal import RPCWire

/// Has its workers forked by a warm process, which is started with the first one, and replaced when it ends or does not
/// answer.
internal final class ForkServerLauncher: WorkerLauncher {
  weak var observer: (any WorkerLauncherObserver)?

  private let program: ForkServerProgram
  private let title: String
  private let bounds: WorkerLimits
  private let loop: EventLoop
  internal private(set) var server: ForkServer?
  private lazy var watch = ForkServerWatch(loop: loop, bounds: bounds, launcher: self)
  /// Those of earlier servers that may not be over.
  private var endings: [ForkServerEnding] = []
  internal private(set) var tier: IsolationTier?
  private var lastFailure: (error: RPCError, at: UInt64)?

  /// - Parameter title: the language, in messages.
  init(_ program: ForkServerProgram, title: String, bounds: WorkerLimits, loop: EventLoop) {
    self.program = program
    self.title = title
    self.bounds = bounds
    self.loop = loop
  }

  func launch(
    _ id: UInt32, _ order: WorkerOrder, serving socket: borrowing Descriptor
  ) throws(RPCError) {
    let server = try startedServer()
    do throws(SystemError) {
      try server.fork(id, order, serving: socket)
    } catch {
      throw RPCError(.unavailable, "no \(title) worker can be started: \(error)")
    }
  }

  private func startedServer() throws(RPCError) -> ForkServer {
    if let server { return server }
    if let lastFailure {
      // A program that cannot run is not started again for every call.
      let wait = UInt64(bounds.restartMilliseconds) &* 1_000_000
      if loop.now &- lastFailure.at < wait { throw lastFailure.error }
    }
    do throws(RPCError) {
      let started = try ForkServer(program, title: title, loop: loop, observer: self)
      server = started
      return started
    } catch {
      lastFailure = (error, loop.now)
      throw error
    }
  }

  func kill(_ id: UInt32) {
    server?.kill(worker: id)
  }

  func workBegan() {
    watch.workBegan()
  }

  func shutDown() {
    watch.stop()
    stopServer()
    for ending in endings { ending.wait() }
    endings = []
  }

  private func stopServer() {
    server?.stop()
    endings.removeAll(where: \.isOver)
    if let ending = server?.ending { endings.append(ending) }
    server = nil
  }

  /// Somebody stopped the server, or it hangs: it is replaced.
  internal func serverIsSilent(_ why: String) {
    server?.stop()
    serverEnded(why)
  }
}

extension ForkServerLauncher: ForkServerObserver {
  internal func serverAnswered() {
    watch.answered()
  }

  internal func serverIsReady(_ tier: IsolationTier) {
    self.tier = tier
    observer?.workersAreConfined(tier)
  }

  internal func serverEnded(_ why: String) {
    let canStart = server?.isReady ?? false
    stopServer()
    watch.answered()
    let error = RPCError(
      .unavailable, "\(title)'s parent process cannot be used: \(why)", executed: .maybe,
      retryAfterMilliseconds: bounds.restartMilliseconds)
    if !canStart { lastFailure = (RPCError(.unavailable, error.message), loop.now) }
    observer?.workersLost(error, canStart: canStart)
  }
}
