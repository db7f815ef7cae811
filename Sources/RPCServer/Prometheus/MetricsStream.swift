internal import RPCTransport
internal import RPCWire

/// The answer that the counters are written into, piece by piece.
internal protocol MetricsSink: AnyObject {
  var connection: ServerConnection { get }
  /// Whether the client still waits for more of the answer.
  var isOpen: Bool { get }
  /// Whether it has read what was written, and its turn has come.
  var isReady: Bool { get }
  /// Writes what stands above the body.
  func begin()
  func write(_ piece: [UInt8])
  func end()
  /// Ends it without an end: the client is gone.
  func abandon()
}

/// Writes the counters piece by piece, each beside the loop and only when the client has read those before; they are
/// gathered when the first piece can be written.
internal final class MetricsStream: TimerTarget {
  private let host: ServerLoop
  private let sink: any MetricsSink
  private var report: MetricsReport?
  private var next = MetricsReport.Position()
  /// How soon it is looked again whether a slow client has read: 10 ms.
  private static let pauseNanoseconds: UInt64 = 10_000_000

  init(_ host: ServerLoop, to sink: any MetricsSink) {
    self.host = host
    self.sink = sink
  }

  func timerFired(tag: UInt64, on loop: EventLoop) { goOn() }

  func goOn() {
    guard sink.isOpen else { return sink.abandon() }
    guard sink.isReady else {
      host.loop.schedule(after: Self.pauseNanoseconds, self)
      return
    }
    guard let report else { return gather() }
    let position = next
    sink.connection.beside(holding: 0) {
      var piece = ByteQueue()
      let next = report.append(from: position, to: &piece)
      return (piece.copy(), next)
    } then: { [self] piece, next in
      guard sink.isOpen else { return sink.abandon() }
      if !piece.isEmpty { sink.write(piece) }
      guard let next else { return sink.end() }
      self.next = next
      goOn()
    }
  }

  private func gather() {
    let confined = LoopConfined(self, to: host.loop)
    let mailbox = host.loop.mailbox
    host.core.gatherMetrics { snapshot in
      mailbox.post { loop in confined.on(loop).begin(snapshot) }
    }
  }

  private func begin(_ snapshot: LoopSnapshot) {
    guard sink.isOpen else { return sink.abandon() }
    report = MetricsReport(snapshot, host.catalogue, MetricsReport.ServerFacts(host))
    sink.begin()
    goOn()
  }
}
