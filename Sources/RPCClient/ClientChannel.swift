internal import RPCTransport
internal import RPCWire

/// A client's side of one server: opens connections when calls want them, paces attempts after failures, and
/// moves on to a new connection when the server goes away. It lives on the loop's thread.
internal final class ClientChannel: TimerTarget {
  private enum State {
    case idle
    case connecting(Connector)
    case open(Session)
    /// Not before `until`, on the loop's clock.
    case down(RPCError, until: UInt64)
  }

  internal let core: ClientCore
  internal private(set) var server: Topology.Server
  /// When a call last chose this channel, for taking turns.
  @exclusivity(unchecked) internal var lastChosen: UInt64 = 0

  @exclusivity(unchecked) private var state = State.idle {
    didSet {
      if case .open(let session) = state { openSession = session } else { openSession = nil }
      core.forgetShortcuts()
    }
  }
  /// The session of `state`, at hand for every call.
  @exclusivity(unchecked) private var openSession: Session?
  private var waiting = CallQueue()
  private var pings: [(Result<Duration, RPCError>) -> Void] = []
  /// Attempts in a row that led to nothing.
  private var failures = 0
  private var attemptTimer: TimerID?
  private var reconnectTimer: TimerID?
  private var isClosed = false
  private var isLossAnnounced = false
  private static let attemptTag: UInt64 = 0
  private static let reconnectTag: UInt64 = 1

  internal init(core: ClientCore, server: Topology.Server) {
    self.core = core
    self.server = server
  }

  /// Calls given to this channel and not answered: what balancing goes by.
  internal var outstanding: Int { waiting.count + (openSession?.load ?? 0) }

  /// Whether a call would fail at once, since the server was down a moment ago.
  internal var isDown: Bool { pause > 0 }

  /// Nanoseconds until another attempt to connect is due.
  internal var pause: UInt64 {
    if case .down(_, let until) = state, until > core.loop.now { return until - core.loop.now }
    return 0
  }

  internal var hasRoom: Bool { waiting.count < ClientLimits.waitingCallsMax }

  // MARK: Calls

  /// Sends a call, or keeps it until the connection stands.
  internal func accept(_ call: Call) {
    if let openSession { return openSession.send(call) }
    switch state {
    case .down(let error, let until) where core.loop.now < until && !call.waitForReady:
      var error = error
      error.executed = .no
      core.attemptFailed(call, error)
    default:
      guard hasRoom else {
        return core.attemptFailed(
          call,
          RPCError(
            .resourceExhausted, "\(waiting.count) calls wait for \(server.label)",
            actual: waiting.count, limit: ClientLimits.waitingCallsMax))
      }
      waiting.append(call)
      wantConnection()
    }
  }

  internal func ping(_ completion: @escaping (Result<Duration, RPCError>) -> Void) {
    if case .open(let session) = state, session.isReady { return session.ping(completion) }
    if case .down(let error, let until) = state, core.loop.now < until { return completion(.failure(error)) }
    pings.append(completion)
    wantConnection()
  }

  // MARK: Connecting

  private func wantConnection() {
    switch state {
    case .idle: connect()
    case .down(_, let until):
      if core.loop.now >= until {
        connect()
      } else if reconnectTimer == nil {
        reconnectTimer = core.loop.schedule(at: until, self, tag: Self.reconnectTag)
      }
    case .connecting, .open: break
    }
  }

  /// Connects although no call asks for it.
  internal func connectEagerly() {
    wantConnection()
  }

  private func connect() {
    if let reconnectTimer { core.loop.cancel(reconnectTimer) }
    reconnectTimer = nil
    attemptTimer = core.loop.schedule(
      after: core.options.connectTimeout.nanoseconds, self, tag: Self.attemptTag)
    let connector = Connector(to: server, from: core.source, on: core.loop) { [self] result in
      switch result {
      case .success(let descriptor): connected(descriptor)
      case .failure(let error): attemptEnded(error)
      }
    }
    state = .connecting(connector)
    core.report(self, .connecting)
    connector.start()
  }

  private func connected(_ descriptor: Int32) {
    var limits = ConnectionLimits()
    // A client that stopped reading answers because its requests are not read would wait for a server that
    // waits for it. What it sends is bounded by calls in flight instead.
    limits.outputHighWater = .max
    let connection = Connection(adopting: Descriptor(descriptor), on: core.loop, limits: limits)
    let session = Session(channel: self, connection: connection, loop: core.loop)
    state = .open(session)
    do {
      try session.start()
    } catch {
      return attemptEnded(RPCError(.unavailable, "\(server.label): \(error)"))
    }
    while let call = waiting.popFirst() {
      if call.phase == .waiting { session.send(call) }
    }
  }

  /// Says once that the server is away, however often it is tried in vain.
  private func announceLoss(_ reason: RPCError?) {
    guard !isLossAnnounced else { return }
    isLossAnnounced = true
    core.emit(.disconnected(server: server.name, reason: reason))
  }

  /// An attempt came to nothing before there was a session.
  private func attemptEnded(_ error: RPCError) {
    cancelAttemptTimer()
    failures += 1
    goDown(error)
    announceLoss(error)
    failWaiting(error)
    if core.options.staysConnected, !isClosed { wantConnection() }
  }

  private func goDown(_ error: RPCError) {
    let pause = core.options.reconnect.nanoseconds(retry: failures, chance: core.chance())
    state = .down(error, until: core.loop.now &+ pause)
    core.report(self, .down(error))
  }

  /// Calls that wait for better times keep waiting; the others learn why.
  private func failWaiting(_ error: RPCError) {
    var error = error
    error.executed = .no
    var calls: [Call] = []
    while let call = waiting.popFirst() { calls.append(call) }
    for call in calls where call.phase == .waiting {
      if call.waitForReady, error.exception == .unavailable, !isClosed {
        waiting.append(call)
      } else {
        core.attemptFailed(call, error)
      }
    }
    let completions = pings
    pings = []
    for completion in completions { completion(.failure(error)) }
    if !waiting.isEmpty { wantConnection() }
  }

  private func cancelAttemptTimer() {
    if let attemptTimer { core.loop.cancel(attemptTimer) }
    attemptTimer = nil
  }

  internal func timerFired(tag: UInt64, on loop: EventLoop) {
    if tag == Self.reconnectTag {
      reconnectTimer = nil
      if case .down = state, !waiting.isEmpty || !pings.isEmpty || core.options.staysConnected { connect() }
      return
    }
    attemptTimer = nil
    let timeout = core.options.connectTimeout
    switch state {
    case .connecting(let connector):
      connector.cancel()
      attemptEnded(RPCError(.unavailable, "\(server.label) did not accept a connection within \(timeout)"))
    case .open(let session) where !session.isReady:
      session.close(RPCError(.unavailable, "\(server.label) did not say HELLO within \(timeout)"))
    case .open, .idle, .down: break
    }
  }

  // MARK: What sessions tell

  internal func sessionReady(_ session: Session) {
    cancelAttemptTimer()
    guard isCurrent(session) else { return }
    isLossAnnounced = false
    roundTripMeasured(session)
    core.emit(.connected(server: server.name, generation: session.generation))
    let completions = pings
    pings = []
    for completion in completions { session.ping(completion) }
  }

  internal func roundTripMeasured(_ session: Session) {
    guard isCurrent(session) else { return }
    core.report(self, .up(generation: session.generation, roundTrip: session.roundTrip))
  }

  internal func generationChanged(_ session: Session) {
    core.forgetShortcuts()
    guard isCurrent(session) else { return }
    roundTripMeasured(session)
    core.emit(.generation(server: server.name, serial: session.generation))
  }

  /// The next call opens a new connection, to an address that is looked up anew.
  internal func sessionDraining(_ session: Session, reason: String) {
    guard isCurrent(session) else { return }
    cancelAttemptTimer()
    core.emit(.draining(server: server.name, reason: reason))
    let error = RPCError(.unavailable, "\(server.label) is going away: \(reason)")
    // A moment's pause, so that callers try another provider before a server that is on its way out.
    failures += 1
    goDown(error)
    if core.options.staysConnected { wantConnection() }
  }

  internal func sessionEnded(_ session: Session, _ error: RPCError?) {
    // One that was replaced, since its server drained or moved, is no loss.
    guard isCurrent(session) else { return }
    cancelAttemptTimer()
    // One that served was a good connection: the next attempt may follow at once.
    if session.answers > 0 || core.loop.now &- session.opened > 1_000_000_000 {
      failures = 0
    } else {
      failures += 1
    }
    let failure = error ?? RPCError(.unavailable, "the connection to \(server.label) was closed")
    if failures == 0 {
      state = .down(failure, until: core.loop.now)
      core.report(self, .down(failure))
    } else {
      goDown(failure)
    }
    // Whoever hears of it and asks for the server's state must find it so.
    announceLoss(error)
    failWaiting(failure)
    if core.options.staysConnected { wantConnection() }
  }

  private func isCurrent(_ session: Session) -> Bool {
    if case .open(let current) = state { return current === session }
    return false
  }

  // MARK: Ending

  /// The topology has another address for this server: the next call goes there.
  internal func move(to server: Topology.Server) {
    guard server != self.server else { return }
    let old = state
    self.server = server
    state = .idle
    failures = 0
    cancelAttemptTimer()
    switch old {
    case .connecting(let connector):
      connector.cancel()
    case .open(let session): session.retire()
    case .idle, .down: break
    }
    if !waiting.isEmpty || core.options.staysConnected { wantConnection() }
  }

  internal func close(_ error: RPCError) {
    isClosed = true
    cancelAttemptTimer()
    if let reconnectTimer { core.loop.cancel(reconnectTimer) }
    reconnectTimer = nil
    let old = state
    state = .idle
    switch old {
    case .connecting(let connector): connector.cancel()
    case .open(let session): session.close(error)
    case .idle, .down: break
    }
    failWaiting(error)
    core.report(self, .idle)
  }
}
