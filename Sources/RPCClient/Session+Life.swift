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
    pingNanoseconds = wish > 0 ? wish : channel.core.options.pingInterval.nanoseconds
    if pingNanoseconds > 0 { livenessTimer = loop.schedule(after: pingNanoseconds, self) }
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
    channel.sessionReady(self)
    if !backlog.isEmpty { sendBacklog() }
  }

  internal func handleGoAway(_ goAway: GoAway) {
    guard phase != .draining else { return }
    phase = .draining
    drainingError = RPCError(.unavailable, "\(channel.server.label) is going away: \(goAway.reason)")
    channel.sessionDraining(self, reason: goAway.reason)
    moveOn(pending.removeAll(above: goAway.lastCallID).map(\.payload))
  }

  /// The channel uses another connection from now on: this one ends when everything is answered.
  internal func retire() {
    guard isOpen else { return }
    phase = .draining
    drainingError = RPCError(.unavailable, "\(channel.server.label) moved to another address")
    moveOn([])
  }

  /// Sends the calls that did not begin here, and those that wait, somewhere else.
  private func moveOn(_ calls: [Call]) {
    var refused = calls + bindings.removeAllWaiting()
    while let call = backlog.popFirst() { refused.append(call) }
    for call in refused {
      call.session = nil
      channel.core.neverBegan(call, drainingError)
    }
    closeIfDrained()
  }

  internal func closeIfDrained() {
    if phase == .draining, pending.count == 0 { close(nil) }
  }

  internal func inputEnded(on connection: Connection) {
    close(lost("closed by the server"))
  }

  internal func closed(_ connection: Connection, reason: CloseReason) {
    let error = failure ?? (reason == .local ? nil : lost("\(reason)"))
    tearDown(error)
  }

  private func lost(_ reason: String) -> RPCError {
    RPCError(.unavailable, "the connection to \(channel.server.label) was lost: \(reason)", executed: .maybe)
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
    if let livenessTimer { loop.cancel(livenessTimer) }
    let sent = connection.bytesSent
    let reason =
      error
      ?? RPCError(.unavailable, "the connection to \(channel.server.label) was closed", executed: .maybe)
    let entries = pending.removeAll()
    var unsent = bindings.removeAllWaiting()
    while let call = backlog.popFirst() { unsent.append(call) }
    let waitingPings = pings.values.compactMap(\.completion)
    pings = [:]
    channel.sessionEnded(self, error)
    for entry in entries {
      let call = entry.payload
      call.session = nil
      // A frame whose last byte never left was not understood either.
      if entry.frameEnd > sent {
        channel.core.neverBegan(call, reason)
      } else {
        var error = reason
        error.executed = .maybe
        channel.core.attemptFailed(call, error)
      }
    }
    for call in unsent { channel.core.neverBegan(call, reason) }
    for completion in waitingPings { completion(.failure(reason)) }
  }

  // MARK: Signs of life

  /// Asks the server for a sign of life and tells how long it took.
  internal func ping(_ completion: @escaping (Result<Duration, RPCError>) -> Void) {
    _ = sendPing(completion)
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
    if id == livenessPing {
      livenessPing = nil
      if let livenessTimer { loop.cancel(livenessTimer) }
      livenessTimer = loop.schedule(after: pingNanoseconds, self)
    }
    let duration = Duration.nanoseconds(Int64(clamping: Syscall.monotonicNanoseconds() &- ping.started))
    roundTrip = duration
    channel.roundTripMeasured(self)
    ping.completion?(.success(duration))
  }

  internal func timerFired(tag: UInt64, on loop: EventLoop) {
    guard isOpen else { return }
    let silence = loop.now &- connection.lastReceived
    if livenessPing != nil {
      let patience = channel.core.options.pingTimeout
      guard silence < patience.nanoseconds else {
        return close(lost("no sign of life for \(patience)"))
      }
      livenessTimer = loop.schedule(after: patience.nanoseconds - silence, self)
    } else if silence >= pingNanoseconds {
      livenessPing = sendPing(nil)
      livenessTimer = loop.schedule(after: channel.core.options.pingTimeout.nanoseconds, self)
    } else {
      livenessTimer = loop.schedule(after: pingNanoseconds - silence, self)
    }
  }
}
