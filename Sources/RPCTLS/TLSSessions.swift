internal import COpenSSL
internal import RPCSystem

/// The last session with each server, for the next connection to go on with: without it each pays for a whole handshake.
internal final class TLSSessions: Sendable {
  /// A reference to an `SSL_SESSION` that no connection uses: it is copied only.
  private final class Session: @unchecked Sendable {
    let pointer: OpaquePointer
    init(_ pointer: OpaquePointer) { self.pointer = pointer }
    deinit { SSL_SESSION_free(pointer) }
  }

  private let sessions = Lock<[String: Session]>([:])

  /// - Parameter session: is kept, and freed.
  func keep(_ session: OpaquePointer, for key: String) {
    let session = Session(session)
    sessions.withLock { sessions in
      if sessions.count >= TLSLimits.sessionsMax, sessions[key] == nil { sessions.removeAll() }
      sessions[key] = session
    }
  }

  func resume(_ key: String, on ssl: OpaquePointer) {
    guard let session = sessions.withLock({ $0[key] }), SSL_SESSION_is_resumable(session.pointer) == 1,
      // A handshake writes to its session, and others may go on with this one at the same time.
      let own = SSL_SESSION_dup(session.pointer)
    else { return }
    SSL_set_session(ssl, own)
    SSL_SESSION_free(own)
  }

  func forget(_ key: String) {
    sessions.withLock { _ = $0.removeValue(forKey: key) }
  }
}
