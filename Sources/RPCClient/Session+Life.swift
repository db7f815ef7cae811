internal import RPCKeys
internal import RPCTransport
internal import RPCWire

/// A connection's own life: its HELLO, signs of life, GOAWAY and end.
extension Session {
  internal func handleHello(_ hello: Hello) throws(WireError) {
    guard phase == .handshaking else { throw .malformedFrame("a second HELLO") }
    guard hello.version == Preface.majorVersion else {
      throw .malformedFrame("version \(hello.version), this client speaks \(Preface.majorVersion)")
    }
    frameBytesMax = hello.frameBytes
    callsMax = max(1, hello.callsInFlight)
    generation = hello.generation
    roundTrip = .nanoseconds(Int64(clamping: loop.now &- opened))
    let wish = UInt64(hello.pingMilliseconds) * 1_000_000
    idlePingNanoseconds = wish > 0 ? wish : channel.core.options.pingInterval.orNever
    do {
      let proof = try introduction.answer(to: hello, at: SocketAddress.peer(of: connection.descriptor))
      guard let proof else { return becomeReady() }
      phase = .proving
      write { proof.encode(to: &$0) }
    } catch {
      close(error)
    }
  }

  /// The server knows whom it talks to.
  internal func becomeReady() {
    phase = .up
    armKeepalive()
    channel.sessionReady(self)
    if !backlog.isEmpty { sendBacklog() }
  }

  internal func handleGoAway(_ goAway: GoAway) {
    // A second one may draw the line lower.
    lastTakenID = min(lastTakenID, goAway.lastCallID)
    if phase != .draining {
      phase = .draining
      drainingError = .shuttingDown(channel.server, goAway.reason)
      channel.sessionDraining(self, reason: goAway.reason)
    }
    moveOn(pending.removeAll(above: lastTakenID).map(\.payload))
  }

  /// The channel uses another connection from now on: this one ends when everything is answered.
  internal func retire() {
    guard isOpen else { return }
    phase = .draining
    drainingError = RPCError(.unavailable, "\(channel.server.label) has a new address")
    moveOn([])
  }

  /// Sends the calls that did not begin here, and those that wait, somewhere else.
  private func moveOn(_ calls: [Call]) {
    for call in calls + takeWaiting() {
      call.session = nil
      channel.core.attemptFailed(call, drainingError, neverBegan: true)
    }
    closeIfDrained()
  }

  internal func closeIfDrained() {
    if phase == .draining, pending.count == 0 { close(nil) }
  }

  internal func inputEnded(on connection: Connection) {
    close(.lostConnection(to: channel.server, .peer))
  }

  internal func closed(_ connection: Connection, reason: CloseReason) {
    let error = failure ?? (reason == .local ? nil : .lostConnection(to: channel.server, reason))
    tearDown(error)
  }

  /// Ends the connection; every call on it fails with `error`, or as cancelled when there is none.
  internal func close(_ error: RPCError?) {
    guard isOpen else { return }
    failure = error
    connection.close()
  }

  private func tearDown(_ error: RPCError?) {
    guard isOpen else { return }
    phase = .closed
    if let keepaliveTimer { loop.cancel(keepaliveTimer) }
    let sent = connection.bytesSent
    let reason =
      error
      ?? RPCError(.unavailable, "the connection to \(channel.server.label) was closed", executed: .maybe)
    let entries = pending.removeAll()
    let unsent = takeWaiting()
    let waitingPings = pings.values.compactMap(\.completion)
    pings = [:]
    channel.sessionEnded(self, error)
    for entry in entries {
      let call = entry.payload
      call.session = nil
      // A frame whose last byte never left was not understood either.
      if entry.frameEnd > sent {
        channel.core.attemptFailed(call, reason, neverBegan: true)
      } else {
        var error = reason
        error.executed = .maybe
        channel.core.attemptFailed(call, error)
      }
    }
    for call in unsent { channel.core.attemptFailed(call, reason, neverBegan: true) }
    for completion in waitingPings { completion(.failure(reason)) }
  }

  // MARK: PING

  /// Sends a PING and reports how long its answer took.
  internal func ping(_ completion: @escaping (Result<Duration, RPCError>) -> Void) {
    if !isOwedAnswers { busySince = loop.now }
    _ = sendPing(completion)
    armKeepalive()
  }

  private func sendPing(_ completion: ((Result<Duration, RPCError>) -> Void)?) -> UInt64 {
    let id = takeID()
    pings[id] = (Syscall.monotonicNanoseconds(), completion)
    write { $0.appendEmptyFrame(.ping, callID: id) }
    return id
  }

  internal func handlePong(_ id: UInt64) {
    // A PONG nobody waits for does no harm.
    guard let ping = pings.removeValue(forKey: id) else { return }
    if id == keepalivePing?.id {
      keepalivePing = nil
      armKeepalive()
    }
    let duration = Duration.nanoseconds(Int64(clamping: Syscall.monotonicNanoseconds() &- ping.started))
    roundTrip = duration
    channel.roundTripMeasured(self)
    ping.completion?(.success(duration))
  }

  // MARK: Keepalive

  /// Whether the server owes something: the answer to a call, a BIND or a PING of the caller's.
  private var isOwedAnswers: Bool {
    pending.count > 0 || bindings.hasBindsInFlight || pings.count > (keepalivePing == nil ? 0 : 1)
  }

  /// How long the server may be silent before it gets a PING, in nanoseconds; `never` for ever.
  private var silenceNanosecondsMax: UInt64 {
    isOwedAnswers ? min(keepaliveNanoseconds, idlePingNanoseconds) : idlePingNanoseconds
  }

  /// How long it may take to answer a PING, in nanoseconds.
  private var answerNanosecondsMax: UInt64 {
    let idle = channel.core.options.pingTimeout.nanoseconds
    return isOwedAnswers ? min(keepaliveNanoseconds, idle) : idle
  }

  /// Stands for no bound, and can be added to every time.
  internal static let never = UInt64.max >> 1

  /// Sees to it that the timer fires when a PING, or its answer, is due. Traffic costs nothing: a timer that fires
  /// too early looks again.
  private func armKeepalive() {
    var due = UInt64.max
    if let ping = keepalivePing {
      due = ping.sent &+ answerNanosecondsMax
    } else if silenceNanosecondsMax < Self.never {
      due = max(connection.lastReceived, busySince) &+ silenceNanosecondsMax
    }
    if let timer = keepaliveTimer {
      guard due < keepaliveDue else { return }
      loop.cancel(timer)
      keepaliveTimer = nil
    }
    keepaliveDue = due
    if due < .max { keepaliveTimer = loop.schedule(at: max(due, loop.now &+ 1), self) }
  }

  /// The server owes something after a time without. On the way of a call: it looks, and does something every few
  /// seconds at most.
  @inline(__always)
  internal func becameBusy() {
    busySince = loop.now
    if busySince &+ keepaliveNanoseconds < keepaliveDue { armKeepalive() }
  }

  internal func timerFired(tag: UInt64, on loop: EventLoop) {
    keepaliveTimer = nil
    guard isOpen else { return }
    if let ping = keepalivePing {
      // Whatever came since then is a sign of life.
      if connection.lastReceived > ping.sent {
        keepalivePing = nil
      } else if loop.now >= ping.sent &+ answerNanosecondsMax {
        isUnresponsive = true
        let waited = Duration.nanoseconds(Int64(clamping: answerNanosecondsMax))
        return close(.noPong(from: channel.server, within: waited))
      }
    } else if loop.now >= max(connection.lastReceived, busySince) &+ silenceNanosecondsMax {
      keepalivePing = (sendPing(nil), loop.now)
    }
    armKeepalive()
  }
}
