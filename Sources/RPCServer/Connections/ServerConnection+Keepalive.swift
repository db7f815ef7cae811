internal import RPCTransport
internal import RPCWire

/// Whether a peer with calls in flight is still there. One that lost its power or its network says nothing: without
/// this its calls would run, and its connection stay, for ever.
struct Keepalive {
  /// How long the peer may be silent, and how long it may take to answer a PING; 0 for ever.
  var milliseconds = 0
  /// When the first of the calls in flight came, on the loop's clock.
  var busySince: UInt64 = 0
  /// When a PING was sent that has no answer yet.
  var pinged: UInt64?
}

extension ServerConnection {
  /// Since when the peer has been silent, where that is of interest.
  var silentSince: UInt64? {
    guard keepalive.milliseconds > 0, !calls.isEmpty else { return nil }
    if let pinged = keepalive.pinged, pinged >= socket.lastReceived { return pinged }
    return max(socket.lastReceived, keepalive.busySince)
  }

  /// The first call is in flight after a time without.
  func becameBusy() {
    guard keepalive.milliseconds > 0 else { return }
    keepalive.busySince = host.loop.now
    keepalive.pinged = nil
    armTimer()
  }

  /// Sends a PING, or gives the connection up when the last one was not answered; false where neither is due.
  func checkKeepalive() -> Bool {
    let now = host.loop.now
    guard let since = silentSince else { return false }
    // Nobody can be heard while this side does not read.
    guard socket.isReading else {
      keepalive.busySince = now
      keepalive.pinged = nil
      return false
    }
    guard now >= since + UInt64(keepalive.milliseconds) * 1_000_000 else { return false }
    if let pinged = keepalive.pinged, pinged >= socket.lastReceived {
      host.log.refusedConnection(
        caller,
        RPCError(
          .unavailable, "the client has stopped answering: no PONG within \(keepalive.milliseconds) ms"))
      socket.close()
    } else {
      keepalive.pinged = now
      guard let dialect else { return false }
      var isAsked = false
      socket.send { isAsked = dialect.ping(into: &$0) }
      guard isAsked else { return false }
      armTimer()
    }
    return true
  }
}
