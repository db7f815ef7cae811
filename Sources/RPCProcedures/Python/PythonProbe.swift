internal import RPCSystem
internal import RPCTransport
package import RPCWire

/// Starts the interpreter as a server would and asks what it has; no procedure is run.
package struct PythonProbe: Sendable {
  /// `Python 3.11`.
  package let version: String
  /// What its workers would be confined by.
  package let tier: IsolationTier

  /// - Throws: why it cannot be used.
  package init(limits: RuntimeLimits, program: PythonProgram = PythonProgram()) throws(RPCError) {
    let loop: EventLoop
    do {
      loop = try EventLoop()
    } catch {
      throw RPCError(.unavailable, "\(error)")
    }
    let listener = ProbeListener(loop)
    var version = ""
    var asked = program.forkServer(limits)
    let refusal = asked.refusal
    asked.refusal = { major, minor in
      version = "Python \(major).\(minor)"
      return refusal(major, minor)
    }
    let server = try ForkServer(asked, title: "Python", loop: loop, observer: listener)
    loop.schedule(after: UInt64(limits.python.startMilliseconds) * 1_000_000, listener)
    loop.run()
    server.stop()
    server.ending?.wait()
    guard let tier = listener.tier else {
      throw RPCError(
        .unavailable, listener.reason ?? "it took longer than \(limits.python.startMilliseconds) ms to start")
    }
    self.version = version
    self.tier = tier
  }
}

/// Ends the loop once it is known.
private final class ProbeListener: ForkServerObserver, TimerTarget {
  private let loop: EventLoop
  private(set) var tier: IsolationTier?
  private(set) var reason: String?
  let observer: (any WorkerLauncherObserver)? = nil

  init(_ loop: EventLoop) { self.loop = loop }

  func serverAnswered() {}

  func serverIsReady(_ tier: IsolationTier) {
    self.tier = tier
    loop.stop()
  }

  func serverEnded(_ why: String) {
    reason = why
    loop.stop()
  }

  func timerFired(tag: UInt64, on loop: EventLoop) { loop.stop() }
}
