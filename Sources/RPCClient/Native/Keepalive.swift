/// When a client asks a silent server for a sign of life, and when it gives it up. Pure: times come in, in
/// nanoseconds of one clock, and what is due goes out.
internal struct Keepalive {
  /// The bounds of `ClientOptions`; `never` where there is none.
  private let busySilence: UInt64
  private let idleAnswer: UInt64
  internal var idleSilence: UInt64
  /// When the server first owed something, after a time without.
  private var busySince: UInt64 = 0
  /// When the owner looks again; `.max` for never, 0 until the server has answered.
  private var due: UInt64 = 0
  /// The PING that a silent server has to answer, and when it was sent.
  internal private(set) var ping: (id: UInt64, sent: UInt64)?

  /// Stands for no bound, and can be added to every time.
  internal static let never = UInt64.max >> 1

  internal init(_ options: ClientOptions) {
    busySilence = options.keepalive.orNever
    idleSilence = options.pingInterval.orNever
    idleAnswer = options.pingTimeout.nanoseconds
  }

  internal enum Step {
    case wait
    case ping
    /// It did not answer for so many nanoseconds.
    case timedOut(after: UInt64)
  }

  private func silenceMax(_ isOwed: Bool) -> UInt64 { isOwed ? min(busySilence, idleSilence) : idleSilence }
  private func answerMax(_ isOwed: Bool) -> UInt64 { isOwed ? min(busySilence, idleAnswer) : idleAnswer }

  /// What is due now.
  ///
  /// - Parameter isOwed: the server owes the answer to a call, a BIND or a PING of the caller's.
  internal mutating func step(at now: UInt64, lastReceived: UInt64, isOwed: Bool) -> Step {
    if let ping {
      // Whatever came since then is a sign of life.
      if lastReceived > ping.sent { self.ping = nil }
      let most = answerMax(isOwed)
      if self.ping != nil, now >= ping.sent &+ most { return .timedOut(after: most) }
      return .wait
    }
    return now >= max(lastReceived, busySince) &+ silenceMax(isOwed) ? .ping : .wait
  }

  internal mutating func pinged(_ id: UInt64, at now: UInt64) { ping = (id, now) }

  /// A PONG came; whether it was the one that was waited for.
  internal mutating func ponged(_ id: UInt64) -> Bool {
    guard ping?.id == id else { return false }
    ping = nil
    return true
  }

  /// When to look again, where that is earlier than the owner was told before, or nothing is set; `.max` for never.
  internal mutating func nextDue(lastReceived: UInt64, isOwed: Bool, isSet: Bool) -> UInt64? {
    var next = UInt64.max
    if let ping {
      next = ping.sent &+ answerMax(isOwed)
    } else if silenceMax(isOwed) < Self.never {
      next = max(lastReceived, busySince) &+ silenceMax(isOwed)
    }
    if isSet, next >= due { return nil }
    due = next
    return next
  }

  /// The server owes something after a time without; whether to look at `nextDue`. On the way of a call.
  @inline(__always)
  internal mutating func becameBusy(at now: UInt64) -> Bool {
    busySince = now
    return now &+ busySilence < due
  }
}
