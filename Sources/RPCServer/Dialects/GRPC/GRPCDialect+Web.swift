internal import RPCTransport
internal import RPCWire

/// gRPC-Web: the same messages over any HTTP; what would be trailers is a last frame of the body.
extension GRPCDialect {
  /// The flag of the frame that holds the trailers.
  private static let trailerFlag: UInt8 = 0x80

  func appendWebTrailers(_ stream: GRPCStream, _ status: GRPCStatus) {
    Self.appendWebTrailers(status, asText: stream.head.isWebText, to: &stream.reply)
  }

  static func appendWebTrailers(_ status: GRPCStatus, asText: Bool, to reply: inout ByteQueue) {
    appendWebTrailers(status, to: &reply)
    guard asText else { return }
    let text = Base64.encode(reply.copy())
    reply.removeAll()
    reply.append(text)
  }

  /// `0x80 | length | name: value CRLF…`
  static func appendWebTrailers(_ status: GRPCStatus, to reply: inout ByteQueue) {
    let start = reply.count
    reply.append(trailerFlag)
    reply.append(bigEndian: 0 as UInt32)
    for (name, value) in status.fields { reply.append("\(name): \(value)\r\n") }
    reply.patch(littleEndian: UInt32(reply.count - start - prefixBytes).byteSwapped, at: start + 1)
  }

  /// Puts the bytes in the place of their base64, of which there may be several pieces with padding in between, and runs
  /// the request.
  func runDecoded(_ stream: GRPCStream, _ bytes: [UInt8]?) {
    guard let bytes else { return respond(stream, GRPCStatus(.internal, "the body is not base64")) }
    bodyBytes += bytes.count - stream.body.count
    stream.body.removeAll()
    stream.body.append(bytes)
    runMessage(stream)
  }

  /// A long text is read beside the loop.
  func decodeTextBeside(_ stream: GRPCStream) {
    let id = stream.id
    connection.beside(holding: stream.body.count) { [text = stream.body.copy()] in
      GRPCWebText.decode(text)
    } then: { [self] bytes in
      guard stream.id == id, !stream.isAnswered, socket.isReceiving else { return }
      runDecoded(stream, bytes)
      flush()
    }
  }
}
