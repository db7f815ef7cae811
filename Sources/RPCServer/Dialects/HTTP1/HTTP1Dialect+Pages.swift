internal import HTTPTypes
internal import RPCTransport
internal import RPCWire

/// What the server says of itself.
extension HTTP1Dialect {
  func show(_ page: HTTPPage) {
    guard let (head, text) = page.answer(host) else { return showMetrics() }
    say(head, text)
  }

  private func say(_ head: AnswerHead, _ text: String) {
    let body = Array(text.utf8)
    socket.send { exchange.append(head, body, workbench, to: &$0) }
    answered(exchange)
  }

  /// Answers OPTIONS, and what a browser asks before it lets a page send more than any page could.
  func answerOptions() {
    var fields = "allow: GET, HEAD, POST, OPTIONS\r\n"
    if exchange.allowedOrigin != nil {
      fields += """
        access-control-allow-methods: \(Preflight.methods)\r
        access-control-allow-headers: \(Preflight.fields)\r
        access-control-max-age: \(Preflight.seconds)\r

        """
    }
    socket.send { exchange.appendEmpty(.noContent, fields: fields, workbench, to: &$0) }
    answered(exchange)
  }
}
