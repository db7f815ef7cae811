internal import RPCTransport
internal import RPCWire

/// The page `/metrics`, which everybody may read who may ask `system.stats`.
extension HTTP1Dialect {
  func showMetrics() {
    let exchange = exchange
    guard !exchange.isHead else {
      socket.send { exchange.appendHead(MetricsReport.contentType, workbench, to: &$0) }
      return answered(exchange)
    }
    takeTurn()
    MetricsStream(host, to: HTTP1MetricsSink(self, exchange)).goOn()
  }
}

private final class HTTP1MetricsSink: MetricsSink {
  private let dialect: HTTP1Dialect
  private var exchange: HTTP1Exchange

  init(_ dialect: HTTP1Dialect, _ exchange: HTTP1Exchange) {
    self.dialect = dialect
    self.exchange = exchange
    // The end of what has no length is the connection's.
    if exchange.isOld { self.exchange.closes = true }
  }

  var connection: ServerConnection { dialect.connection }
  var isOpen: Bool { dialect.socket.isReceiving }
  var isReady: Bool { dialect.socket.outputBytes <= dialect.socket.limits.outputLowWater }

  func begin() {
    dialect.socket.send { exchange.appendHead(MetricsReport.contentType, dialect.workbench, to: &$0) }
  }

  func write(_ piece: [UInt8]) {
    dialect.socket.send { exchange.appendPiece(piece, to: &$0) }
  }

  func end() {
    dialect.concluded()
    dialect.socket.send { exchange.appendEnd(to: &$0) }
    dialect.answered(exchange)
    dialect.connection.afterAnswer()
  }

  func abandon() { dialect.concluded() }
}
