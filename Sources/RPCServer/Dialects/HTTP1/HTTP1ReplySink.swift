internal import RPCProcedures
internal import RPCTransport
internal import RPCWire

/// Answers a call over HTTP that was not answered where it was read: a long result is written beside the loop.
internal final class HTTP1ReplySink: ReplySink {
  private let dialect: HTTP1Dialect
  private let exchange: HTTP1Exchange
  private let format: any UnaryFormat.Type
  private let type: ContentType?
  private let procedure: BoundProcedure

  init(
    _ dialect: HTTP1Dialect, _ exchange: HTTP1Exchange, format: any UnaryFormat.Type, type: ContentType?,
    procedure: BoundProcedure
  ) {
    self.dialect = dialect
    self.exchange = exchange
    self.format = format
    self.type = type
    self.procedure = procedure
  }

  func end(_ outcome: CallOutcome) {
    let socket = dialect.socket
    guard socket.isReceiving else { return dialect.concluded() }
    let limit = dialect.host.options.jsonBytes
    guard case .success(let bytes) = outcome, bytes.count > BoundProcedure.spotBytes, bytes.count <= limit
    else {
      dialect.concluded()
      return dialect.answer(outcome, exchange, format: format, type: type, procedure: procedure)
    }
    dialect.connection.beside(holding: bytes.count) { [format, type, procedure] in
      var body = ByteQueue()
      let head = format.append(outcome, of: procedure, type: type, limit: limit, to: &body)
      return (head, body.copy())
    } then: { [dialect, exchange] head, body in
      dialect.concluded()
      guard socket.isReceiving else { return }
      socket.send { exchange.append(head, body, dialect.workbench, to: &$0) }
      dialect.answered(exchange)
    }
  }
}
