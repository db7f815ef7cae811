package import RPCSystem
package import RPCWire

/// The bounds of one connection's memory, in bytes.
package struct ConnectionLimits: Hashable, Sendable {
  /// Output that waits for the peer above which its requests are no longer read: a peer that does not read
  /// its replies stops being served, not the server's memory.
  package var outputHighWater = 1024 * 1024
  /// Output below which reading goes on.
  package var outputLowWater = 256 * 1024
  /// How long the peer's system may leave bytes unacknowledged or untaken, or be silent on an idle connection, before
  /// the kernel ends the connection, in milliseconds; 0 for what the kernel does by itself.
  package var acknowledgeMilliseconds = 60_000

  package init() {}
}

extension Connection {
  /// Whether the peer has so much unread output that it must not get more for now.
  package func isOverHighWater(_ output: borrowing ByteQueue) -> Bool {
    output.count > limits.outputHighWater
  }
}

/// Why a connection ended.
package enum CloseReason: Hashable, Sendable {
  /// Our side closed it.
  case local
  /// The peer closed it, in order.
  case peer
  /// The socket failed: reset, timed out, unreachable.
  case failed(SystemError)
}

extension CloseReason: CustomStringConvertible {
  package var description: String {
    switch self {
    case .local: "closed"
    case .peer: "closed by the peer"
    case .failed(let error): error.description
    }
  }
}

/// What speaks a protocol over a connection. It is called on the connection's loop.
package protocol ConnectionHandler: AnyObject {
  /// Takes what came in and returns how many bytes of it are done with; the rest is kept and offered again
  /// with more behind it. What is appended to `output` leaves in one write when this returns. When
  /// `output` grows beyond the high-water mark, stop early: the rest is offered again once it has drained.
  /// Where bytes are kept when the peer ends its side they are offered once more, with `inputHasEnded` set.
  func received(_ bytes: RawSpan, into output: inout ByteQueue, on connection: Connection) -> Int

  /// The peer will send no more, but may still read. Close the connection, now or when all is answered.
  func inputEnded(on connection: Connection)

  /// The connections hold more memory together than they may, and this one would need more.
  ///
  /// - Parameter bytes: the request that there is no memory for, as far as it came; nil where it is answers that wait.
  /// - Returns: true where that request alone was refused: `bytes` are dropped, and what follows them is offered as it
  ///   comes. False where the connection was ended, with `closeAfterFlush`, or `close` at once.
  func memoryExceeded(on connection: Connection, unfinished bytes: RawSpan?, actual: Int, limit: Int) -> Bool

  /// The connection is gone. Called exactly once, last.
  func closed(_ connection: Connection, reason: CloseReason)
}

extension ConnectionHandler {
  package func memoryExceeded(
    on connection: Connection, unfinished bytes: RawSpan?, actual: Int, limit: Int
  ) -> Bool {
    connection.close()
    return false
  }
}
