internal import HTTPTypes

/// Chunked bodies (RFC 9112, section 7.1).
extension HTTP1Parser {
  /// The size of a chunk in hexadecimal, and extensions, which mean nothing here.
  internal mutating func readChunkLine(_ line: Range<Int>, _ bytes: RawSpan) throws(HTTP1Violation) {
    var size = 0
    var index = line.lowerBound
    while index < line.upperBound, let digit = PercentCoding.hexadecimal(bytes.at(index)) {
      guard size <= Int.max >> 8 else {
        throw HTTP1Violation(.badRequest, "the size of a chunk is too large")
      }
      size = size << 4 | Int(digit)
      index += 1
    }
    guard index > line.lowerBound, index == line.upperBound || bytes.at(index) == UInt8(ascii: ";") else {
      throw HTTP1Violation(.badRequest, "a chunk does not begin with its size in hexadecimal")
    }
    for index in index..<line.upperBound {
      let byte = bytes.at(index)
      guard byte >= 0x20 && byte < 0x7f || byte == 0x09 else {
        throw HTTP1Violation(.badRequest, "the extension of a chunk holds byte \(Self.hexadecimal(byte))")
      }
    }
    guard size <= bodyBytesMax else { throw tooLarge(size) }
    guard bodyCount + size <= bodyBytesMax else { throw tooLarge(bodyCount + size) }
    try checkFraming()
    chunkBytes = size
    state = size == 0 ? .trailers : .chunkData
  }

  private func tooLarge(_ count: Int) -> HTTP1Violation {
    HTTP1Violation(
      .contentTooLarge, "a body of \(count) bytes or more, the limit is \(bodyBytesMax)", actual: count,
      limit: bodyBytesMax)
  }

  /// Whether there is too much around the body.
  internal func checkFraming() throws(HTTP1Violation) {
    let framing = start - headEnd - bodyCount
    guard framing <= HTTP1Limits.chunkFramingBytesMax else {
      throw HTTP1Violation(
        .contentTooLarge,
        "the chunks of the body take \(framing) bytes besides the body, the limit is \(HTTP1Limits.chunkFramingBytesMax)",
        actual: framing, limit: HTTP1Limits.chunkFramingBytesMax)
    }
  }
}
