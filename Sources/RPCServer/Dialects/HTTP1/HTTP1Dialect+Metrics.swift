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
    let stream = LoopConfined(MetricsStream(self, exchange), to: host.loop)
    let mailbox = host.loop.mailbox
    host.core.gatherMetrics { snapshot in
      mailbox.post { loop in stream.on(loop).begin(snapshot) }
    }
  }
}

/// Writes the counters piece by piece, each beside the loop and only when the client has read those before.
private final class MetricsStream: TimerTarget {
  private let dialect: HTTP1Dialect
  private var exchange: HTTP1Exchange
  private var report: MetricsReport?
  private var next: MetricsReport.Position?
  /// How soon it is looked again whether a slow client has read: 10 ms.
  private static let pauseNanoseconds: UInt64 = 10_000_000

  init(_ dialect: HTTP1Dialect, _ exchange: HTTP1Exchange) {
    self.dialect = dialect
    self.exchange = exchange
    // The end of what has no length is the connection's.
    if exchange.isOld { self.exchange.closes = true }
  }

  func begin(_ snapshot: LoopSnapshot) {
    guard dialect.socket.isReceiving else { return dialect.concluded() }
    let host = dialect.host
    report = MetricsReport(
      snapshot, host.catalogue,
      MetricsReport.ServerFacts(host))
    next = MetricsReport.Position()
    dialect.socket.send { exchange.appendHead(MetricsReport.contentType, dialect.workbench, to: &$0) }
    goOn()
  }

  func timerFired(tag: UInt64, on loop: EventLoop) { goOn() }

  private func goOn() {
    let socket = dialect.socket
    guard socket.isReceiving else { return dialect.concluded() }
    guard let report, let position = next else { return end() }
    guard socket.outputBytes <= socket.limits.outputLowWater else {
      dialect.host.loop.schedule(after: Self.pauseNanoseconds, self)
      return
    }
    dialect.connection.beside(holding: 0) {
      var piece = ByteQueue()
      let next = report.append(from: position, to: &piece)
      return (piece.copy(), next)
    } then: { [self] piece, next in
      self.next = next
      guard dialect.socket.isReceiving else { return dialect.concluded() }
      if !piece.isEmpty { dialect.socket.send { exchange.appendPiece(piece, to: &$0) } }
      goOn()
    }
  }

  private func end() {
    dialect.concluded()
    dialect.socket.send { exchange.appendEnd(to: &$0) }
    dialect.answered(exchange)
    dialect.connection.afterAnswer()
  }
}
