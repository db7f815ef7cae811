import HTTPTypes
import RPCServer
import RPCWire

/// What answers over HTTP/1.1 must look like, whatever was asked.
enum HTTPAnswers {
  /// Each answer is whole, and nothing follows one that ends the connection.
  static func check(_ answers: [UInt8], to sent: [UInt8]) throws(BrokenPromise) {
    // To HEAD there is no body, and a request may hide more of them than can be told apart here.
    guard !String(decoding: sent, as: UTF8.self).contains("HEAD") else { return }
    var rest = answers[...]
    var isOver = false
    while !rest.isEmpty {
      try promise(!isOver, "something follows the last answer")
      guard let end = firstRange(of: Array("\r\n\r\n".utf8), in: rest) else {
        throw BrokenPromise("half a head: \(String(decoding: rest.prefix(80), as: UTF8.self))")
      }
      let lines = String(decoding: rest[rest.startIndex..<end.lowerBound], as: UTF8.self).split(
        separator: "\r\n")
      rest = rest[end.upperBound...]
      try promise(lines[0].hasPrefix("HTTP/1.1 "), "no status line: \(lines[0])")
      func value(_ name: String) -> Substring? {
        lines.first { $0.hasPrefix(name + ": ") }?.dropFirst(name.utf8.count + 2)
      }
      if value("connection") == "close" { isOver = true }
      let status = lines[0].dropFirst(9).prefix(3)
      if status == "100" || status == "204" { continue }
      if value("transfer-encoding") == "chunked" {
        guard let end = firstRange(of: Array("\r\n0\r\n\r\n".utf8), in: rest) else {
          throw BrokenPromise("chunks without an end")
        }
        rest = rest[end.upperBound...]
        continue
      }
      // With HTTP/1.0 the end of what has no length is the connection's.
      guard let length = value("content-length").flatMap({ Int($0) }) else { return }
      try promise(rest.count >= length, "half a body")
      let body = Array(rest.prefix(length))
      rest = rest.dropFirst(length)
      if value("content-type") == "application/json", body.last != UInt8(ascii: "\n") {
        try promise(JSONReader.isWellFormed(body), "an answer that is not JSON")
      }
    }
  }

  private static func firstRange(of part: [UInt8], in bytes: ArraySlice<UInt8>) -> Range<Int>? {
    guard bytes.count >= part.count else { return nil }
    return (bytes.startIndex...bytes.endIndex - part.count).first {
      bytes[$0..<$0 + part.count].elementsEqual(part)
    }
    .map { $0..<$0 + part.count }
  }
}

/// Requests of HTTP/1.1, as the parser reads them.
enum HTTPTargets {
  private static let bodyBytesMax = 4096

  /// However the bytes are cut, the same requests come out, with places inside of them; what is read as a field is one by
  /// the rules of HTTP, and no request has two lengths.
  static func http1(_ bytes: [UInt8]) throws(BrokenPromise) {
    let whole = read(bytes, piece: .max)
    try promise(read(bytes, piece: 1) == whole, "cut into single bytes it is read in another way")
    try promise(read(bytes, piece: 7) == whole, "cut into pieces of 7 it is read in another way")
    for request in whole {
      // A body may hold any byte, what is before it may not.
      guard case .success(let head, _) = request else { continue }
      try promise(!head.contains("\0"), "a NUL got through")
    }
  }

  private enum Seen: Equatable {
    case success(head: String, body: String)
    case violation(Int)
  }

  /// Every request of a connection that the bytes come over in pieces, as text.
  private static func read(_ bytes: [UInt8], piece: Int) -> [Seen] {
    var parser = HTTP1Parser(bodyBytesMax: bodyBytesMax)
    var seen: [Seen] = []
    var start = 0
    var end = 0
    var wanted = 0
    while true {
      do throws(HTTP1Violation) {
        while true {
          let request = bytes[start..<end]
          if wanted > request.count { break }
          let copy = Array(request)
          switch try parser.advance(copy.span.bytes) {
          case .more(let count): wanted = max(count, request.count + 1)
          case .head: break
          case .whole(let count):
            seen.append(describe(parser, copy))
            parser.reset()
            start += count
            wanted = 0
            if start == bytes.count { return seen }
          }
        }
      } catch {
        return seen + [.violation(error.status.code)]
      }
      guard end < bytes.count else { return seen }
      end += min(piece, bytes.count - end)
    }
  }

  private static func describe(_ parser: HTTP1Parser, _ bytes: [UInt8]) -> Seen {
    let head = parser.head
    let span = bytes.span.bytes
    func text(_ range: Range<Int>) -> String { String(decoding: bytes[range], as: UTF8.self) }
    let fields = head.fields.map { "\(text($0.name))=\(text($0.value))" }.joined(separator: "|")
    let body = parser.body.map { text($0) }.joined()
    let host = head.text(of: .host, in: span) ?? ""
    return .success(
      head: "\(head.method.rawValue) \(text(head.target)) \(head.minorVersion) \(host) \(fields)", body: body)
  }
}
