internal import RPCProcedures
internal import RPCTransport
internal import RPCWire

/// One request of a peer and its answer: a stream of HTTP/2. The dialect uses these again, so that a call makes none.
internal final class GRPCStream {
  // Each is read and written in one step, or changed while nobody else is called: checking every access would cost a
  // seventh of a call.
  /// The stream's number, 0 while this is not used: numbers are never used twice on a connection.
  @exclusivity(unchecked) var id: Int32 = 0
  /// When it came, on the loop's clock.
  @exclusivity(unchecked) var opened: UInt64 = 0
  @exclusivity(unchecked) var head = GRPCHead()
  /// What came of the body and was not taken.
  @exclusivity(unchecked) var body = ByteQueue()
  /// The peer has sent all of it.
  @exclusivity(unchecked) var requestHasEnded = false
  /// A reply was submitted, or the stream was refused.
  @exclusivity(unchecked) var isAnswered = false
  /// Waits for others' answers to leave before it is run.
  @exclusivity(unchecked) var isWaiting = false
  /// The body of the answer that has not left yet.
  @exclusivity(unchecked) var reply = ByteQueue()
  /// What comes behind the body, once no more of it is to come.
  @exclusivity(unchecked) var status: GRPCStatus?
  /// The body is empty for now, and HTTP/2 does not ask for more until it is told.
  @exclusivity(unchecked) var isDeferred = false
  /// The fields above the body of an answer that is not gRPC's, or that a page of another origin may read.
  @exclusivity(unchecked) var answerHead: [(name: String, value: String)]?
  /// Who calls, where the request names another than the connection's caller.
  @exclusivity(unchecked) var token: TokenCaller?
  /// The call, where it is not one of gRPC.
  @exclusivity(unchecked) var unary: UnaryExchange?
  /// What answers it where that is not a procedure.
  @exclusivity(unchecked) var builtin: (any BuiltinStream)?

  /// Bytes that a stream's buffers keep from one use to the next.
  static let keptBytes = 4 * 1024

  func begin(_ id: Int32, at now: UInt64) {
    self.id = id
    opened = now
  }

  func end() {
    id = 0
    head.reset()
    requestHasEnded = false
    isAnswered = false
    isWaiting = false
    status = nil
    isDeferred = false
    builtin = nil
    if token != nil { token = nil }
    if unary != nil { unary = nil }
    if answerHead != nil { answerHead = nil }
    Self.empty(&body)
    Self.empty(&reply)
  }

  /// The length that the next message's prefix tells, nil where that has not come.
  var messageLength: Int? {
    guard body.count >= GRPCDialect.prefixBytes else { return nil }
    return body.withReadable { Int(UInt32(bigEndian: $0.loadUnaligned(fromByteOffset: 1, as: UInt32.self))) }
  }

  /// The first byte of the next message's prefix.
  var isCompressed: UInt8 { body.withReadable { $0.first ?? 0 } }

  /// The bytes of a message whose prefix is at the front.
  func messageBytes(_ length: Int) -> [UInt8] {
    body.withReadable { Array($0[GRPCDialect.prefixBytes..<GRPCDialect.prefixBytes + length]) }
  }

  private static func empty(_ queue: inout ByteQueue) {
    if queue.allocatedBytes > keptBytes { queue = ByteQueue() } else { queue.removeAll() }
  }
}
