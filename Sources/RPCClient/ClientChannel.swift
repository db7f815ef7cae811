internal import RPCNetwork
internal import RPCSystem
internal import RPCTransport
internal import RPCWire

/// A client's side of one server: opens connections when calls want them, paces attempts after failures, and
/// moves on to a new connection when the server goes away. It lives on the loop's thread.
internal final class ClientChannel: TimerTarget {
  private enum State {
    case idle
    case connecting(Connector)
    case open(ClientConnection)
    /// Not before `until`, on the loop's clock.
    case down(RPCError, until: UInt64)
  }

  internal let core: ClientCore
  internal private(set) var server: Topology.Server
  /// When a call last chose this channel, for taking turns.
  @exclusivity(unchecked) internal var lastChosen: UInt64 = 0

  @exclusivity(unchecked) private var state = State.idle {
    didSet {
      if case .open(let connection) = state { openConnection = connection } else { openConnection = nil }
      core.forgetShortcuts()
    }
  }
  /// The connection of `state`, at hand for every call.
  @exclusivity(unchecked) private var openConnection: ClientConnection?
  private var waiting = CallQueue()
  /// Calls that ended while they waited, since such calls were last taken out.
  private var endedCalls = 0
  private var pings: [(Result<Duration, RPCError>) -> Void] = []
  /// Attempts in a row that led to nothing.
  private var failures = 0
  private var attemptTimer: TimerID?
  private var slowTimer: TimerID?
  private var reconnectTimer: TimerID?
  private var isClosed = false
  private var isLossAnnounced = false
  private static let attemptTag: UInt64 = 0
  private static let reconnectTag: UInt64 = 1
  private static let slowTag: UInt64 = 2

  internal init(core: ClientCore, server: Topology.Server) {
    self.core = core
    self.server = server
  }

  /// Calls given to this channel and not answered: what balancing goes by.
  internal var outstanding: Int { waiting.count + (openConnection?.load ?? 0) }

  /// How a channel compares with others that a call may take, best first.
  internal enum Standing: Int {
    /// The server has answered, and goes on doing so.
    case ready
    /// It has a PING to answer before it counts as ready again.
    case silent
    /// Connected to, but it has not answered yet.
    case connecting
    /// Not connected to, or not for long enough since that failed.
    case idle
    /// A call would fail at once, since the server was down just before.
    case down
  }

  internal var standing: Standing {
    switch state {
    case .open(let connection) where connection.isReady:
      connection.machine.keepalive.ping == nil ? .ready : .silent
    case .open, .connecting: .connecting
    case .idle: .idle
    case .down: pause > 0 ? .down : .idle
    }
  }

  /// Nanoseconds until another attempt to connect is due.
  internal var pause: UInt64 {
    if case .down(_, let until) = state, until > core.loop.now { return until - core.loop.now }
    return 0
  }

  internal var hasRoom: Bool { waiting.count < ClientLimits.waitingCallsMax }

  // MARK: Calls

  /// Sends a call, or keeps it until the connection stands.
  internal func accept(_ call: Call) {
    if let openConnection { return openConnection.send(call) }
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
            actual: waiting.count, limit: ClientLimits.waitingCallsMax, unit: .calls))
      }
      waiting.append(call)
      wantConnection()
    }
  }

  internal func ping(_ completion: @escaping (Result<Duration, RPCError>) -> Void) {
    if case .open(let connection) = state, connection.isReady { return connection.ping(completion) }
    if case .down(let error, let until) = state, core.loop.now < until { return completion(.failure(error)) }
    pings.append(completion)
    wantConnection()
  }

  // MARK: Calls that wait

  /// The routes of the calls that were not sent.
  internal var routesWaiting: [Route] {
    (waiting.elements + (openConnection?.waitingCalls ?? [])).map(\.route)
  }

  /// Takes out calls that were not sent.
  internal func takeWaiting(where isTaken: (Call) -> Bool) -> [Call] {
    (waiting.take(where: isTaken) + (openConnection?.takeWaiting(where: isTaken) ?? [])).filter {
      $0.phase == .waiting
    }
  }

  /// A call that waits here has ended. It stays in its queue until there are more such calls than others.
  internal func waitingCallEnded() {
    endedCalls += 1
    guard endedCalls >= 64, endedCalls * 2 >= waiting.count + (openConnection?.waitingCount ?? 0) else {
      return
    }
    endedCalls = 0
    _ = waiting.take { $0.phase == .done }
    _ = openConnection?.takeWaiting { $0.phase == .done }
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
    slowTimer = core.loop.schedule(
      after: ClientLimits.connectionAttemptDelayNanoseconds, self, tag: Self.slowTag)
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
    let socket = Connection(adopting: Descriptor(descriptor), on: core.loop, limits: limits)
    do throws(RPCError) {
      if let filter = try server.makeFilter(as: core.options.certificate) { socket.install(filter) }
    } catch {
      socket.close()
      return attemptEnded(error)
    }
    let connection = ClientConnection(channel: self, connection: socket, loop: core.loop)
    state = .open(connection)
    do {
      try connection.start()
    } catch {
      return attemptEnded(RPCError(.unavailable, "\(error): \(server.label)"))
    }
    while let call = waiting.popFirst() {
      if call.phase == .waiting { connection.send(call) }
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
    if let slowTimer { core.loop.cancel(slowTimer) }
    slowTimer = nil
  }

  internal func timerFired(tag: UInt64, on loop: EventLoop) {
    if tag == Self.reconnectTag {
      reconnectTimer = nil
      if case .down = state, !waiting.isEmpty || !pings.isEmpty || core.options.staysConnected { connect() }
      return
    }
    if tag == Self.slowTag {
      slowTimer = nil
      return core.connectAlternatives()
    }
    attemptTimer = nil
    let timeout = core.options.connectTimeout.brief
    switch state {
    case .connecting(let connector):
      connector.cancel()
      attemptEnded(RPCError(.unavailable, "no connection to \(server.label) within \(timeout)"))
    case .open(let connection) where !connection.isReady:
      connection.close(.noHello(from: server, within: core.options.connectTimeout))
    case .open, .idle, .down: break
    }
  }

  // MARK: What connections report

  internal func connectionReady(_ connection: ClientConnection) {
    cancelAttemptTimer()
    guard isCurrent(connection) else { return }
    isLossAnnounced = false
    roundTripMeasured(connection)
    core.emit(.connected(server: server.name, generation: connection.machine.generation))
    let completions = pings
    pings = []
    for completion in completions { connection.ping(completion) }
    core.channelIsReady(self)
  }

  internal func roundTripMeasured(_ connection: ClientConnection) {
    guard isCurrent(connection) else { return }
    if let key = connection.machine.introduction.serverKey { core.onServerKey?(server.name, key) }
    core.report(self, .up(generation: connection.machine.generation, roundTrip: connection.machine.roundTrip))
  }

  internal func generationChanged(_ connection: ClientConnection) {
    core.forgetShortcuts()
    guard isCurrent(connection) else { return }
    roundTripMeasured(connection)
    core.emit(.generation(server: server.name, serial: connection.machine.generation))
  }

  /// The next call opens a new connection, to an address that is looked up again.
  internal func connectionDraining(_ connection: ClientConnection, reason: String) {
    guard isCurrent(connection) else { return }
    cancelAttemptTimer()
    core.keepUntilItEnds(connection)
    core.emit(.draining(server: server.name, reason: reason))
    let error = connection.machine.drainingError
    // A short pause, so that callers try another provider before a server that is on its way out.
    failures += 1
    goDown(error)
    if core.options.staysConnected { wantConnection() }
  }

  internal func connectionEnded(_ connection: ClientConnection, _ error: RPCError?) {
    core.connectionEnded(connection)
    // One that was replaced, since its server drained or moved, is not a loss.
    guard isCurrent(connection) else { return }
    cancelAttemptTimer()
    // One that served was a good connection: the next attempt may follow at once.
    if !connection.isUnresponsive,
      connection.machine.answers > 0 || core.loop.now &- connection.opened > 1_000_000_000
    {
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
    // A caller that hears of it and asks for the server's state must find it so.
    announceLoss(error)
    failWaiting(failure)
    if core.options.staysConnected { wantConnection() }
  }

  private func isCurrent(_ connection: ClientConnection) -> Bool {
    if case .open(let current) = state { return current === connection }
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
    case .open(let connection): retire(connection)
    case .idle, .down: break
    }
    if !waiting.isEmpty || core.options.staysConnected { wantConnection() }
  }

  /// Calls that are with the server are answered, then the connection ends.
  private func retire(_ connection: ClientConnection) {
    core.keepUntilItEnds(connection)
    connection.retire()
  }

  /// The topology has this server no longer: calls that wait for it fail, those that it has are answered.
  internal func leave(_ error: RPCError) { end(error) { channel, connection in channel.retire(connection) } }

  internal func close(_ error: RPCError) { end(error) { _, connection in connection.close(error) } }

  private func end(_ error: RPCError, _ endConnection: (ClientChannel, ClientConnection) -> Void) {
    isClosed = true
    cancelAttemptTimer()
    if let reconnectTimer { core.loop.cancel(reconnectTimer) }
    reconnectTimer = nil
    let old = state
    state = .idle
    switch old {
    case .connecting(let connector): connector.cancel()
    case .open(let connection): endConnection(self, connection)
    case .idle, .down: break
    }
    failWaiting(error)
    core.report(self, .idle)
  }
}
