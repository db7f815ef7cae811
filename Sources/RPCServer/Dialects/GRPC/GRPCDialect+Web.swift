internal import RPCWire

/// gRPC-Web: the same messages over any HTTP; what would be trailers is a last frame of the body.
extension GRPCDialect {
  /// The flag of the frame that holds the trailers.
  private static let trailerFlag: UInt8 = 0x80

  func appendWebTrailers(_ stream: GRPCStream, _ status: GRPCStatus) {
    Self.appendWebTrailers(status, to: &stream.reply)
    guard stream.head.isWebText else { return }
    let text = Base64.encode(stream.reply.copy())
    stream.reply.removeAll()
    stream.reply.append(text)
  }

  /// `0x80 | length | name: value CRLF…`
  static func appendWebTrailers(_ status: GRPCStatus, to reply: inout ByteQueue) {
    let start = reply.count
    reply.append(trailerFlag)
    reply.append(bigEndian: 0 as UInt32)
    for (name, value) in status.fields { reply.append("\(name): \(value)\r\n") }
    reply.patch(littleEndian: UInt32(reply.count - start - prefixBytes).byteSwapped, at: start + 1)
  }

  /// Puts the bytes in the place of their base64, of which there may be several pieces with padding in between.
  func decodeText(_ stream: GRPCStream) -> Bool {
    guard let bytes = Self.decodeText(stream.body.copy()) else { return false }
    stream.body.removeAll()
    stream.body.append(bytes)
    return true
  }

  static func decodeText(_ text: [UInt8]) -> [UInt8]? {
    guard text.count % 4 == 0 else { return nil }
    var result: [UInt8] = []
    result.reserveCapacity(text.count / 4 * 3)
    var start = 0
    for end in stride(from: 4, through: text.count, by: 4) {
      // A piece ends where its padding does.
      guard text[end - 1] == UInt8(ascii: "=") || end == text.count else { continue }
      guard let bytes = Base64.decode(String(decoding: text[start..<end], as: UTF8.self)) else { return nil }
      result += bytes
      start = end
    }
    return result
  }
}
