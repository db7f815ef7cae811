package import RPCWire

/// What stands between a socket and its connection's handler, and changes the bytes of both directions: TLS, for
/// example. One object for each connection, on the connection's loop. It owns no socket: what it has to say itself, in a
/// handshake, goes out with the rest.
///
/// A connection without a filter pays one test of a flag for each read and each write.
package protocol ByteFilter: AnyObject {
  /// Takes what the socket gave, all of it: keeps what it cannot decode yet.
  ///
  /// - Parameters:
  ///   - plain: gets what is for the handler.
  ///   - wire: gets what the filter answers by itself.
  /// - Throws: why the connection cannot go on. What was appended to `wire` still leaves.
  func receive(
    _ bytes: RawSpan, into plain: inout ByteQueue, answering wire: inout ByteQueue
  ) throws(FilterFailure)

  /// Takes what the handler said; leaves in `plain` what has to wait, for the end of a handshake for example. It is
  /// offered again after each `receive`.
  func send(_ plain: inout ByteQueue, into wire: inout ByteQueue)

  /// Says that nothing more will be sent.
  func end(into wire: inout ByteQueue)

  /// Whether the peer has said inside the filter that it sends no more.
  var peerHasEnded: Bool { get }

  /// The socket gives no more.
  ///
  /// - Parameter isMidway: the handler has the beginning of something whose rest did not come.
  /// - Throws: where the peer's end was not said inside the filter, so that something may have been cut off.
  func inputEnded(isMidway: Bool) throws(FilterFailure)

  /// What both sides agreed to speak inside, by ALPN (RFC 7301); nil where they did not.
  var applicationProtocol: String? { get }

  /// What only the two ends of this very connection know, to tie proofs to it; none where the filter keeps no secrets.
  var channelBinding: [UInt8] { get }
}

extension ByteFilter {
  package var channelBinding: [UInt8] { [] }
}

/// Why bytes cannot pass a filter any more.
package struct FilterFailure: Error, Hashable, Sendable, CustomStringConvertible {
  package var description: String
  /// The peer is another than it must be: nothing that passes.
  package var isRefusal: Bool

  package init(_ description: String, isRefusal: Bool = false) {
    self.description = description
    self.isRefusal = isRefusal
  }
}
