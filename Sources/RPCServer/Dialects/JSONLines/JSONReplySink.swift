internal import RPCProcedures
internal import RPCTransport
internal import RPCWire

/// Answers a call of the json dialect: a long result is written as JSON beside the loop.
internal final class JSONReplySink: ReplySink {
  private let connection: ServerConnection
  private let id: JSONDialect.ID?

  init(_ connection: ServerConnection, id: JSONDialect.ID?) {
    self.connection = connection
    self.id = id
  }

  func end(_ outcome: CallOutcome) {
    let socket = connection.socket
    guard socket.isReceiving else { return }
    let limit = connection.host.options.jsonBytes
    guard case .success(let bytes) = outcome, bytes.count > BoundProcedure.spotBytes, bytes.count <= limit
    else { return socket.send { Self.append(outcome, id: id, limit: limit, to: &$0) } }
    connection.beside(holding: bytes.count) { [id] in
      var line = ByteQueue()
      Self.append(outcome, id: id, limit: limit, to: &line)
      return line.copy()
    } then: { line in
      guard socket.isReceiving else { return }
      socket.send { $0.append(line) }
    }
  }

  /// - Parameter limit: bytes of the values; more are refused.
  private static func append(
    _ outcome: CallOutcome, id: JSONDialect.ID?, limit: Int, to output: inout ByteQueue
  ) {
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
