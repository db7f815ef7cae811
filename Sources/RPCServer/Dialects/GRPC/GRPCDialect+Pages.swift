internal import HTTPTypes
internal import RPCTransport
internal import RPCWire

/// The server's own pages, for clients that speak HTTP/2 to it: curl and scrapers do where TLS offers it.
extension GRPCDialect {
  func show(_ page: HTTPPage, _ stream: GRPCStream) {
    guard let (head, text) = page.answer(host) else { return showMetrics(stream) }
    if !stream.head.isHead { stream.reply.append(Array(text.utf8)) }
    finish(stream, head)
  }

  private func showMetrics(_ stream: GRPCStream) {
    let head = AnswerHead(.ok, MetricsReport.contentType)
    guard !stream.head.isHead else { return finish(stream, head) }
    let answer = LoopConfined(MetricsAnswer(self, stream, head), to: host.loop)
    let mailbox = host.loop.mailbox
    host.core.gatherMetrics { snapshot in
      mailbox.post { loop in answer.on(loop).begin(snapshot) }
    }
  }
}

/// Writes the counters beside the loop, piece by piece, and sends them when they are whole.
private final class MetricsAnswer {
  private let dialect: GRPCDialect
  private let stream: GRPCStream
  private let head: AnswerHead
  /// The stream's number while it is this request's.
  private let id: Int32
  private var body = ByteQueue()

  init(_ dialect: GRPCDialect, _ stream: GRPCStream, _ head: AnswerHead) {
    self.dialect = dialect
    self.stream = stream
    self.head = head
    id = stream.id
  }

  private var isAwaited: Bool { stream.id == id && !stream.isAnswered && dialect.socket.isReceiving }

  func begin(_ snapshot: LoopSnapshot) {
    let host = dialect.host
    write(MetricsReport(snapshot, host.catalogue, MetricsReport.ServerFacts(host)), MetricsReport.Position())
  }

  private func write(_ report: MetricsReport, _ position: MetricsReport.Position) {
    guard isAwaited else { return }
    dialect.connection.beside(holding: body.count) {
      var piece = ByteQueue()
      let next = report.append(from: position, to: &piece)
      return (piece.copy(), next)
    } then: { [self] piece, next in
      guard isAwaited else { return }
      body.append(piece)
      if let next { return write(report, next) }
      stream.reply.append(body.copy())
      dialect.finish(stream, head)
      dialect.flush()
    }
  }
}
