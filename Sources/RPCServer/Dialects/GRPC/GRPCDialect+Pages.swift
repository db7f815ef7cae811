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
    guard !stream.head.isHead else { return finish(stream, HTTP2MetricsSink.head) }
    MetricsStream(host, to: HTTP2MetricsSink(self, stream)).goOn()
  }
}

/// One stream's answer. A connection has one of them written at a time, however many it asks for.
private final class HTTP2MetricsSink: MetricsSink {
  static let head = AnswerHead(.ok, MetricsReport.contentType)

  private let dialect: GRPCDialect
  private let stream: GRPCStream
  /// The stream's number while it is this request's.
  private let id: Int32

  init(_ dialect: GRPCDialect, _ stream: GRPCStream) {
    self.dialect = dialect
    self.stream = stream
    id = stream.id
  }

  var connection: ServerConnection { dialect.connection }

  var isOpen: Bool { stream.id == id && stream.status == nil && dialect.socket.isReceiving }

  var isReady: Bool {
    if dialect.metricsStream == 0 { dialect.metricsStream = id }
    return dialect.metricsStream == id && stream.reply.isEmpty && !dialect.isOverHeld
  }

  func begin() {
    dialect.begin(stream, Self.head)
    dialect.flush()
  }

  func write(_ piece: [UInt8]) {
    stream.reply.append(piece)
    dialect.held(piece.count)
    dialect.resume(stream)
    dialect.flush()
  }

  func end() {
    stream.status = .ok
    dialect.resume(stream)
    abandon()
    dialect.flush()
  }

  func abandon() {
    if dialect.metricsStream == id { dialect.metricsStream = 0 }
  }
}
