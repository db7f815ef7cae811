internal import RPCTransport
internal import RPCWire

/// One timer watches the greeting, the request on its way, the silence and the keepalive, whichever is due first. What
/// is due later than it is set lazily, when it fires, so that traffic costs nothing.
extension ServerConnection {
  func armTimer() {
    let loop = host.loop
    guard let due = nextDue() else { return }
    if let timer {
      guard due < timerDue else { return }
      loop.cancel(timer)
    }
    timerDue = max(due, loop.now + 1)
    timer = loop.schedule(at: timerDue, self)
  }

  private func nextDue() -> UInt64? {
    let options = host.options
    var due: UInt64?
    func consider(_ start: UInt64, _ milliseconds: Int) {
      guard milliseconds > 0 else { return }
      let time = start + UInt64(milliseconds) * 1_000_000
      due = due.map { min($0, time) } ?? time
    }
    if isGreeted {
      // While calls are in flight the silence has not begun; the timer looks again.
      consider(isIdle ? socket.lastReceived : host.loop.now, options.idleTimeoutMilliseconds)
    } else {
      consider(opened, options.handshakeTimeoutMilliseconds)
    }
    if let frameStarted { consider(frameStarted, options.frameTimeoutMilliseconds) }
    if let silentSince { consider(silentSince, keepalive.milliseconds) }
    if let own = dialect?.due { due = due.map { min($0, own) } ?? own }
    return due
  }

  func timerFired(tag: UInt64, on loop: EventLoop) {
    timer = nil
    // Nobody can send the rest of a request while this side does not read.
    if frameStarted != nil, !socket.isReading { frameStarted = loop.now }
    guard socket.isOpen, let due = nextDue() else { return }
    guard due <= loop.now else { return armTimer() }
    if checkKeepalive() { return }
    if let dialect, let own = dialect.due, own <= loop.now {
      var reason: RPCError?
      socket.send { reason = dialect.becameDue(at: loop.now, into: &$0) }
      if let reason { return refuse(reason) }
      afterAnswer()
      return armTimer()
    }
    guard let due = nextDue(), due <= loop.now else { return armTimer() }
    let options = host.options
    let error: RPCError
    if !isGreeted {
      error = RPCError(
        .deadlineExceeded,
        "no HELLO within the handshake timeout of \(options.handshakeTimeoutMilliseconds) ms")
    } else if let frameStarted,
      loop.now >= frameStarted + UInt64(options.frameTimeoutMilliseconds) * 1_000_000
    {
      error = RPCError(
        .deadlineExceeded,
        "a frame took longer than the frame timeout of \(options.frameTimeoutMilliseconds) ms to arrive")
    } else {
      error = RPCError(
        .unavailable,
        "the connection was silent for the idle timeout of \(options.idleTimeoutMilliseconds) ms")
    }
    refuse(error)
  }
}
