internal import RPCTransport
internal import RPCWire

/// What the first bytes of a connection say to a dialect.
internal enum Recognition: Equatable {
  /// They are another's.
  case no
  /// They may be its own: look again when there are at least so many.
  case needs(bytes: Int)
  case yes
}

/// How far a dialect got with the bytes that it was given.
internal struct Progress: Equatable {
  /// Bytes that are done with; the rest is offered again, with more behind it.
  var consumed: Int
  /// How many bytes, from the first that is not consumed, it takes to go on: 0 where it is not bytes that are missing.
  var wanted = 0

  static func consumed(_ count: Int, wanted: Int = 0) -> Progress {
    Progress(consumed: count, wanted: wanted)
  }
}

/// What becomes of a connection whose peer will send no more.
internal enum EndOfInput {
  /// The peer is gone, and its calls end with it.
  case closeNow
  /// The peer still reads: its calls are answered first.
  case closeAfterCalls
}

/// One way to speak with the server: bytes in, calls to the core, answers out. One object for each connection, on the
/// connection's loop. It owns no socket, timer or table of calls: those are the connection's.
internal protocol Dialect: AnyObject, SendableMetatype {
  /// How the log names it.
  static var name: String { get }

  /// Whether a connection that begins with these bytes, at least one, speaks this dialect.
  ///
  /// - Parameter alpn: what was agreed on inside TLS, where there is any: it decides alone.
  static func recognise(_ first: RawSpan, alpn: String?) -> Recognition

  init(on connection: ServerConnection)

  /// Whether the peer has said all that it must say before its first call.
  var isGreeted: Bool { get }

  /// Takes what came in. What is appended to `output` leaves in one write when this returns. Whole requests may be left
  /// where the peer has too much unread output already, or where they wait for others.
  func read(_ bytes: RawSpan, into output: inout ByteQueue) -> Progress

  /// Says the last words before the connection ends.
  func refuse(_ error: RPCError, into output: inout ByteQueue)

  /// Answers the requests that come with an error, then ends the connection: for peers that would take an end without an
  /// answer for a reason to try again.
  ///
  /// - Returns: whether it does; else the error is the connection's last words.
  func refuseRequests(with error: RPCError) -> Bool

  /// Refuses a request that is not whole yet, where it tells which it is, and passes over the rest of it as it comes.
  ///
  /// - Parameter bytes: all of it that came, which is not offered again.
  /// - Returns: whether it was refused; else the connection ends.
  func refuse(unfinished bytes: RawSpan, _ error: RPCError) -> Bool

  /// The peer has ended its side.
  func inputEnded() -> EndOfInput

  /// Says that no more calls are taken.
  func drain(into output: inout ByteQueue)

  /// Says that another generation is in force.
  func generationChanged(_ serial: Int, into output: inout ByteQueue)

  /// Asks the peer whether it is there, which must make it send something; false where the dialect has no such question.
  func ping(into output: inout ByteQueue) -> Bool

  /// Whether something is under way that is not a call, so that the connection may not end yet.
  var holdsOpen: Bool { get }

  /// When something of its own is due, on the loop's clock, if anything is. The connection's timer is armed anew after each
  /// change by `armTimer`.
  var due: UInt64? { get }

  /// That time has come.
  ///
  /// - Returns: why the connection ends, where it does.
  func becameDue(at now: UInt64, into output: inout ByteQueue) -> RPCError?
}

extension Dialect {
  var isGreeted: Bool { true }
  func refuseRequests(with error: RPCError) -> Bool { false }
  func refuse(unfinished bytes: RawSpan, _ error: RPCError) -> Bool { false }
  func drain(into output: inout ByteQueue) {}
  func generationChanged(_ serial: Int, into output: inout ByteQueue) {}
  func ping(into output: inout ByteQueue) -> Bool { false }
  var holdsOpen: Bool { false }
  var due: UInt64? { nil }
  func becameDue(at now: UInt64, into output: inout ByteQueue) -> RPCError? { nil }
}
