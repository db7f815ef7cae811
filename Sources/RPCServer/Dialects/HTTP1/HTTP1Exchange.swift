internal import HTTPTypes
internal import RPCTransport
internal import RPCWire

/// What is kept of a request until it is answered.
internal struct HTTP1Exchange {
  /// The answer has no body: HEAD.
  var isHead = false
  /// The connection ends with the answer.
  var closes = false
  /// HTTP/1.0, which has no chunks.
  var isOld = false
  /// The page of this origin may read the answer.
  var allowedOrigin: String?

  /// Appends an answer.
  ///
  /// - Parameter allowed: the methods that would be right.
  func append(
    _ head: AnswerHead, _ body: borrowing ByteQueue, allowed: StaticString? = nil, _ workbench: HTTPWorkbench,
    to output: inout ByteQueue
  ) {
    appendHead(head, bytes: body.count, allowed: allowed, workbench, to: &output)
    if !isHead { output.append(contentsOf: body) }
  }

  /// As `append` of a body that is kept elsewhere.
  func append(
    _ head: AnswerHead, _ body: [UInt8], _ workbench: HTTPWorkbench, to output: inout ByteQueue
  ) {
    appendHead(head, bytes: body.count, allowed: nil, workbench, to: &output)
    if !isHead { output.append(body) }
  }

  private func appendHead(
    _ head: AnswerHead, bytes: Int, allowed: StaticString?, _ workbench: HTTPWorkbench,
    to output: inout ByteQueue
  ) {
    output.reserve(256 + bytes)
    append(head.status, to: &output)
    output.append("content-type: " as StaticString)
    output.append(head.contentType)
    output.append("\r\ncontent-length: " as StaticString)
    output.append(decimal: UInt64(bytes))
    output.append("\r\n" as StaticString)
    if let wait = head.retryAfterMilliseconds {
      output.append("retry-after: \(max(1, (wait + 999) / 1000))\r\n")
    }
    if let allowed {
      output.append("allow: " as StaticString)
      output.append(allowed)
      output.append("\r\n" as StaticString)
    }
    if head.status.code == 401 { output.append("www-authenticate: Bearer\r\n" as StaticString) }
    finishHead(workbench, to: &output)
  }

  /// Appends an answer that has no body, and no need of one.
  func appendEmpty(
    _ status: HTTPResponse.Status, fields: String, _ workbench: HTTPWorkbench, to output: inout ByteQueue
  ) {
    append(status, to: &output)
    output.append(fields)
    finishHead(workbench, to: &output)
  }

  /// Appends the head of an answer whose length is not known yet: chunks follow, or with HTTP/1.0 all until the end.
  func appendHead(
    _ contentType: StaticString, _ workbench: HTTPWorkbench, to output: inout ByteQueue
  ) {
    append(.ok, to: &output)
    output.append("content-type: " as StaticString)
    output.append(contentType)
    output.append(isOld ? "\r\n" : "\r\ntransfer-encoding: chunked\r\n" as StaticString)
    finishHead(workbench, to: &output)
  }

  /// Appends a piece of such a body, which is not empty.
  func appendPiece(_ bytes: [UInt8], to output: inout ByteQueue) {
    if isOld { return output.append(bytes) }
    output.append("\(String(bytes.count, radix: 16))\r\n")
    output.append(bytes)
    output.append("\r\n" as StaticString)
  }

  func appendEnd(to output: inout ByteQueue) {
    if !isOld { output.append("0\r\n\r\n" as StaticString) }
  }

  private func append(_ status: HTTPResponse.Status, to output: inout ByteQueue) {
    if status.code == 200 { return output.append("HTTP/1.1 200 OK\r\n" as StaticString) }
    output.append("HTTP/1.1 " as StaticString)
    output.append(decimal: UInt64(status.code))
    output.append(UInt8(ascii: " "))
    output.append(status.reasonPhrase)
    output.append("\r\n" as StaticString)
  }

  private func finishHead(_ workbench: HTTPWorkbench, to output: inout ByteQueue) {
    workbench.appendDate(to: &output)
    if let allowedOrigin {
      output.append("access-control-allow-origin: \(allowedOrigin)\r\nvary: origin\r\n")
      output.append("access-control-expose-headers: \(Preflight.exposed)\r\n")
    }
    if closes { output.append("connection: close\r\n" as StaticString) }
    output.append("x-content-type-options: nosniff\r\n\r\n" as StaticString)
  }
}
