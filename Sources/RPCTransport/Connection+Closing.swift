internal import Glibc
internal import RPCSystem

/// How a connection ends: at once, or behind all that it has to say.
extension Connection {
  /// Closes at once: what was not written is lost.
  package func close() {
    finish(.local)
  }

  /// Closes when everything queued has been written. No more is delivered.
  package func closeAfterFlush() {
    guard state.isOpen else { return }
    state.closesAfterFlush = true
    state.isReadingPaused = true
    if !state.isDelivering { scheduleFlush() }
  }

  /// Closing a socket with unread input resets the connection, and a reset may overtake the last words we
  /// wrote: so we shut our side, and wait for the peer's end for a while.
  internal func linger() {
    guard !state.isLingering else { return }
    state.isLingering = true
    if state.inputEnded || shutdown(descriptor, Int32(SHUT_WR)) != 0 { return finish(ending) }
    updateInterest()
    startLingerTimer()
  }

  /// The last words cannot leave before the filter's handshake is over, which the peer has this long to finish.
  internal func waitForHandshake() {
    guard !state.isFinishingHandshake else { return }
    state.isFinishingHandshake = true
    updateInterest()
    startLingerTimer()
  }

  private func startLingerTimer() {
    if let lingerTimer { loop.cancel(lingerTimer) }
    lingerTimer = loop.schedule(after: Self.lingerNanoseconds, self)
  }

  /// Why a connection has ended that was to close when all was written.
  internal var ending: CloseReason { filtering?.failure.map { .failed($0) } ?? .local }

  package func timerFired(tag: UInt64, on loop: EventLoop) {
    lingerTimer = nil
    finish(ending)
  }
}
