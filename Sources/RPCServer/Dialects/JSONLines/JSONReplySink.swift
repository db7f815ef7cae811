internal import RPCTransport
internal import RPCWire

/// Answers a call of the json dialect.
internal final class JSONReplySink: ReplySink {
  private let socket: Connection
  private let id: JSONDialect.ID?
  /// Bytes of the values: writing more as JSON would keep others of the loop waiting.
  private let limit: Int

  init(_ socket: Connection, id: JSONDialect.ID?, limit: Int) {
    self.socket = socket
    self.id = id
    self.limit = limit
  }

  func end(_ outcome: CallOutcome) {
    guard socket.isReceiving else { return }
    socket.send { append(outcome, to: &$0) }
  }

  private func append(_ outcome: CallOutcome, to output: inout ByteQueue) {
    let error: RPCError
    switch outcome {
    case .success(let bytes) where bytes.count > limit:
      error = RPCError(
        .resourceExhausted, "the result is larger than the limit of \(limit) bytes for JSON",
        executed: .yes, actual: bytes.count, limit: limit, unit: .bytes)
    case .success(let bytes):
      do {
        return try JSONDialect.appendResult(messagePack: bytes, id: id, to: &output)
      } catch let wrong {
        error = RPCError(
          .executionException, "the result cannot be written as JSON: \(wrong)", executed: .yes)
      }
    case .failure(let failure): error = failure
    }
    JSONDialect.appendException(error, id: id, to: &output)
  }
}
