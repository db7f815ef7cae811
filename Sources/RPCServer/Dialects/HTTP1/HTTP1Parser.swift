internal import Glibc
internal import HTTPTypes

/// Reads requests of HTTP/1.1 and 1.0 (RFC 9112), strictly: what two servers could understand differently is refused.
/// Pure and incremental: it is given a request's bytes from the first one again and again, each time with more behind
/// them, looks at no byte twice, and keeps places alone.
///
/// Refused are `Content-Length` beside `Transfer-Encoding` and either twice, whatever is no plain number, codings other
/// than `chunked`, lines that end in a bare LF or hold a CR or NUL, folded fields, spaces before the colon, `Host` twice
/// or not at all.
package struct HTTP1Parser {
  package enum Step: Equatable {
    /// The request goes on: it takes at least so many bytes, from its first one.
    case more(Int)
    /// The head is whole. Said once, before the body is looked at.
    case head
    /// All of the request is there: so many bytes.
    case whole(Int)
  }

  internal enum State {
    case requestLine, fields, body, chunkLine, chunkData, chunkEnd, trailers, whole
  }

  package internal(set) var head = HTTP1Head()
  /// Where the parts of the body stand.
  package internal(set) var body: ContiguousArray<Range<Int>> = []
  /// Bytes of the body, as far as it has been read.
  package internal(set) var bodyCount = 0
  internal var state = State.requestLine
  /// Where the line or the chunk begins that is being read.
  internal var start = 0
  /// Up to where bytes hold no line end.
  private var searched = 0
  internal var headEnd = 0
  /// Bytes of the chunk that is being read.
  internal var chunkBytes = 0
  internal let bodyBytesMax: Int
  private var isPastEmptyLine = false
  /// The head is shared with others that are the same.
  private var isHeadShared = false

  package init(bodyBytesMax: Int) {
    self.bodyBytesMax = bodyBytesMax
  }

  /// Makes ready for the next request.
  package mutating func reset() {
    if isHeadShared { head = HTTP1Head() } else { head.removeAll() }
    isHeadShared = false
    body.removeAll(keepingCapacity: true)
    bodyCount = 0
    state = .requestLine
    start = 0
    searched = 0
    chunkBytes = 0
    isPastEmptyLine = false
  }

  /// Takes a head that was read before, whose very bytes the next request begins with: the body is next.
  internal mutating func adopt(_ known: HTTP1Head, end: Int) {
    head = known
    isHeadShared = true
    headEnd = end
    start = end
    searched = end
    state = .body
  }

  /// Whether nothing of a request has come.
  package var isIdle: Bool { state == .requestLine && searched == 0 }
  package var isHeadWhole: Bool { state != .requestLine && state != .fields }

  /// Reads on.
  ///
  /// - Parameter bytes: of the request, from its first one; what follows it is not looked at.
  package mutating func advance(_ bytes: RawSpan) throws(HTTP1Violation) -> Step {
    while true {
      switch state {
      case .requestLine:
        guard let line = try line(in: bytes, max: HTTP1Limits.requestLineBytesMax) else {
          return missing(bytes)
        }
        // A client may end the request before with one line end too many.
        if line.isEmpty, !isPastEmptyLine {
          isPastEmptyLine = true
          continue
        }
        try readRequestLine(line, bytes)
        state = .fields
      case .fields:
        guard let line = try line(in: bytes, max: HTTP1Limits.headBytesMax) else { return missing(bytes) }
        guard line.isEmpty else {
          try readField(line, bytes)
          continue
        }
        headEnd = start
        try finishHead(bytes)
        return .head
      case .body:
        let end = headEnd + head.contentLength
        guard bytes.byteCount >= end else { return .more(end) }
        if head.contentLength > 0 { body.append(headEnd..<end) }
        bodyCount = head.contentLength
        start = end
        state = .whole
      case .chunkLine:
        guard let line = try line(in: bytes, max: HTTP1Limits.chunkLineBytesMax) else {
          return missing(bytes)
        }
        try readChunkLine(line, bytes)
      case .chunkData:
        let end = start + chunkBytes
        guard bytes.byteCount >= end else { return .more(end + 1) }
        body.append(start..<end)
        bodyCount += chunkBytes
        start = end
        state = .chunkEnd
      case .chunkEnd:
        guard bytes.byteCount >= start + 2 else {
          // What is there must be right already: two bytes are not waited for where one tells.
          if bytes.byteCount > start { try requireCR(at: start, in: bytes) }
          return missing(bytes)
        }
        try requireCR(at: start, in: bytes)
        guard bytes.at(start + 1) == 0x0a else { throw Self.chunkWithoutEnd }
        start += 2
        searched = start
        state = .chunkLine
      case .trailers:
        guard let line = try line(in: bytes, max: HTTP1Limits.headBytesMax) else { return missing(bytes) }
        try checkFraming()
        if line.isEmpty { state = .whole } else { _ = try Self.field(line, bytes) }
      case .whole: return .whole(start)
      }
    }
  }

  private func missing(_ bytes: RawSpan) -> Step { .more(bytes.byteCount + 1) }

  private func requireCR(at index: Int, in bytes: RawSpan) throws(HTTP1Violation) {
    guard bytes.at(index) == 0x0d else { throw Self.chunkWithoutEnd }
  }

  private static let chunkWithoutEnd = HTTP1Violation(.badRequest, "a chunk is not followed by CR LF")

  // MARK: Lines

  /// The line that begins at `start`, without its end; nil where that has not come.
  private mutating func line(in bytes: RawSpan, max: Int) throws(HTTP1Violation) -> Range<Int>? {
    let from = Swift.max(start, searched)
    let found = bytes.firstLineFeed(from: from)
    let end = found ?? bytes.byteCount
    guard end - start <= max + 1, isHeadWhole || end <= HTTP1Limits.headBytesMax else {
      throw tooLong(end, max)
    }
    guard let found else {
      searched = bytes.byteCount
      return nil
    }
    guard found > start, bytes.at(found - 1) == 0x0d else {
      throw HTTP1Violation(.badRequest, "a line ends with LF alone; HTTP ends lines with CR LF")
    }
    let line = start..<found - 1
    start = found + 1
    searched = start
    return line
  }

  private func tooLong(_ end: Int, _ max: Int) -> HTTP1Violation {
    switch state {
    case .requestLine:
      HTTP1Violation(
        .uriTooLong, "the request line is longer than \(HTTP1Limits.requestLineBytesMax) bytes",
        actual: end - start,
        limit: HTTP1Limits.requestLineBytesMax)
    case .fields:
      HTTP1Violation(
        .requestHeaderFieldsTooLarge,
        "the fields of the request are longer than \(HTTP1Limits.headBytesMax) bytes",
        actual: end, limit: HTTP1Limits.headBytesMax)
    default:
      HTTP1Violation(
        .badRequest, "a line of a chunked body is longer than \(max) bytes", actual: end - start, limit: max)
    }
  }
}

extension RawSpan {
  @inline(__always)
  internal func at(_ index: Int) -> UInt8 { unsafeLoad(fromByteOffset: index, as: UInt8.self) }

  internal func firstLineFeed(from offset: Int) -> Int? {
    withUnsafeBytes { bytes in
      guard offset < bytes.count, let start = bytes.baseAddress else { return nil }
      return memchr(start + offset, 0x0a, bytes.count - offset).map { UnsafeRawPointer($0) - start }
    }
  }
}
