import HTTPTypes
import RPCServer
import Testing

/// The parser of HTTP/1.1 by itself: bytes in, requests or a refusal out.
@Suite("Requests of HTTP/1.1")
struct HTTP1ParserTests {
  static let bodyBytesMax = 64

  /// Reads one request after the other as bytes come in pieces.
  static func read(_ text: String, piece: Int = .max) -> String {
    let bytes = Array(text.utf8)
    var parser = HTTP1Parser(bodyBytesMax: bodyBytesMax)
    var seen: [String] = []
    var start = 0
    var end = 0
    while true {
      do throws(HTTP1Violation) {
        reading: while start < end {
          let request = Array(bytes[start..<end])
          switch try parser.advance(request.span.bytes) {
          case .more(let count):
            if count <= request.count { return "stuck" }
            break reading
          case .head: break
          case .whole(let count):
            seen.append(describe(parser, request))
            parser.reset()
            start += count
          }
        }
      } catch {
        return (seen + ["\(error.status.code)"]).joined(separator: "; ")
      }
      guard end < bytes.count else { return (seen + (start < end ? ["…"] : [])).joined(separator: "; ") }
      end += min(piece, bytes.count - end)
    }
  }

  private static func describe(_ parser: HTTP1Parser, _ bytes: [UInt8]) -> String {
    func text(_ range: Range<Int>) -> String { String(decoding: bytes[range], as: UTF8.self) }
    var words = [parser.head.method.rawValue, text(parser.head.target)]
    if parser.head.closes { words.append("close") }
    if parser.head.expectsContinue { words.append("continue") }
    let body = parser.body.map { text($0) }.joined()
    if !body.isEmpty { words.append(body) }
    return words.joined(separator: " ")
  }

  static let host = "Host: a\r\n"

  static let requests: [(String, String)] = [
    ("GET / HTTP/1.1\r\n\(host)\r\n", "GET /"),
    ("GET /a%20b?c=d HTTP/1.1\r\n\(host)\r\n", "GET /a%20b?c=d"),
    ("POST /m/add HTTP/1.1\r\nhost:a\r\ncontent-length: 5\r\n\r\n[1,2]", "POST /m/add [1,2]"),
    ("POST / HTTP/1.1\r\n\(host)CONTENT-LENGTH:\t5 \t\r\n\r\n[1,2]", "POST / [1,2]"),
    ("POST / HTTP/1.1\r\n\(host)Content-Length: 0\r\n\r\n", "POST /"),
    (
      "POST / HTTP/1.1\r\n\(host)Content-Length: 64\r\n\r\n" + String(repeating: "x", count: 64),
      "POST / " + String(repeating: "x", count: 64)
    ),
    // Several, one after the other.
    (
      "GET /1 HTTP/1.1\r\n\(host)\r\nGET /2 HTTP/1.1\r\n\(host)\r\nGET /3 HTTP/1.1\r\n\(host)\r\n",
      "GET /1; GET /2; GET /3"
    ),
    (
      "POST /1 HTTP/1.1\r\n\(host)Content-Length: 2\r\n\r\n[]\r\nGET /2 HTTP/1.1\r\n\(host)\r\n",
      "POST /1 []; GET /2"
    ),
    // Chunks.
    (
      "POST / HTTP/1.1\r\n\(host)Transfer-Encoding: chunked\r\n\r\n2\r\n[1\r\n3;a=\"b\"\r\n,2]\r\n0\r\n\r\n",
      "POST / [1,2]"
    ),
    (
      "POST / HTTP/1.1\r\n\(host)transfer-encoding: Chunked\r\n\r\n0\r\nx: y\r\n\r\nGET / HTTP/1.1\r\n\(host)\r\n",
      "POST /; GET /"
    ),
    (
      "POST / HTTP/1.1\r\n\(host)Transfer-Encoding: chunked\r\n\r\n00A\r\n0123456789\r\n0\r\n\r\n",
      "POST / 0123456789"
    ),
    // The end of the connection.
    ("GET / HTTP/1.0\r\n\r\n", "GET / close"),
    ("GET / HTTP/1.1\r\n\(host)Connection: Keep-Alive, Close\r\n\r\n", "GET / close"),
    ("GET / HTTP/1.1\r\n\(host)Connection: x\r\nConnection: close\r\n\r\n", "GET / close"),
    ("POST / HTTP/1.1\r\n\(host)Expect: 100-Continue\r\nContent-Length: 2\r\n\r\n[]", "POST / continue []"),
    // Forms of the target.
    ("GET http://a/b HTTP/1.1\r\n\(host)\r\n", "GET /b"),
    ("GET HTTP://A/b HTTP/1.1\r\n\(host)\r\n", "GET /b"),
    ("OPTIONS * HTTP/1.1\r\n\(host)\r\n", "OPTIONS *"),
    ("FETCH / HTTP/1.1\r\n\(host)\r\n", "FETCH /"),
    // Not whole.
    ("GET / HTTP/1.1\r\n\(host)", "…"), ("GET / HTTP/1.1\r\n\(host)\r", "…"),
    ("POST / HTTP/1.1\r\n\(host)Content-Length: 5\r\n\r\n[1,2", "…"),
    ("POST / HTTP/1.1\r\n\(host)Transfer-Encoding: chunked\r\n\r\n5\r\n[1,2]\r\n0\r\n", "…"),
  ]

  @Test("what is right is read, however it is cut", arguments: requests.indices)
  func right(index: Int) {
    let (text, expected) = Self.requests[index]
    for piece in [Int.max, 1, 2, 3, 7, 64] {
      #expect(Self.read(text, piece: piece) == expected, "in pieces of \(piece)")
    }
  }

  static func post(_ fields: String, _ body: String = "") -> String {
    "POST / HTTP/1.1\r\n\(host)\(fields)\r\n\r\n\(body)"
  }

  static let violations: [(String, Int, String)] = [
    ("two lengths", 400, post("Content-Length: 2\r\nContent-Length: 2", "[]")),
    ("a list of lengths", 400, post("Content-Length: 2, 2", "[]")),
    ("a length with a sign", 400, post("Content-Length: +2", "[]")),
    ("a negative length", 400, post("Content-Length: -2", "[]")),
    ("a hexadecimal length", 400, post("Content-Length: 0x2", "[]")),
    ("no length", 400, post("Content-Length:", "[]")),
    ("a length of 19 digits", 400, post("Content-Length: 1000000000000000000", "[]")),
    ("a length above the limit", 413, post("Content-Length: 65")),
    ("a length and chunks", 400, post("Content-Length: 2\r\nTransfer-Encoding: chunked", "0\r\n\r\n")),
    ("chunks and a length", 400, post("Transfer-Encoding: chunked\r\nContent-Length: 2", "0\r\n\r\n")),
    ("another coding", 501, post("Transfer-Encoding: gzip")),
    ("two codings", 501, post("Transfer-Encoding: gzip, chunked")),
    ("chunked twice", 501, post("Transfer-Encoding: chunked, chunked")),
    ("two lines of codings", 400, post("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity")),
    (
      "a coding with a tab inside", 501,
      post("Transfer-Encoding: chunked\u{b}x".replacing("\u{b}", with: "\t"))
    ),
    ("chunks in HTTP/1.0", 400, "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    ("a space before the colon", 400, post("Content-Length : 2", "[]")),
    ("a tab before the colon", 400, post("Transfer-Encoding\t: chunked")),
    ("a space in a name", 400, post("X Y: 2")),
    ("a folded field", 400, post("X: a\r\n b")), ("a folded field with a tab", 400, post("X: a\r\n\tb")),
    ("a first line that is folded", 400, "GET / HTTP/1.1\r\n \(host)\r\n"),
    ("no colon", 400, post("X")), ("no name", 400, post(": x")),
    ("a NUL in a value", 400, post("X: a\0b")), ("a NUL in a name", 400, post("X\0: ab")),
    ("a CR in a value", 400, post("X: a\rb")), ("a DEL in a value", 400, post("X: a\u{7f}")),
    ("a bare LF behind the request line", 400, "GET / HTTP/1.1\n\(host)\r\n"),
    ("a bare LF behind a field", 400, "GET / HTTP/1.1\r\nHost: a\n\r\n"),
    ("a bare LF at the end", 400, "GET / HTTP/1.1\r\n\(host)\n"),
    ("two hosts", 400, post("Host: b")), ("the same host twice", 400, post("Host: a")),
    ("no host", 400, "GET / HTTP/1.1\r\n\r\n"),
    ("another host in the target", 400, "GET http://b/ HTTP/1.1\r\n\(host)\r\n"),
    ("a target without a path", 400, "GET http://a HTTP/1.1\r\n\(host)\r\n"),
    ("a target without a host", 400, "GET http:///x HTTP/1.1\r\n\(host)\r\n"),
    ("another scheme", 400, "GET ftp://a/ HTTP/1.1\r\n\(host)\r\n"),
    ("a tunnel", 400, "CONNECT a:443 HTTP/1.1\r\n\(host)\r\n"),
    ("an asterisk for GET", 400, "GET * HTTP/1.1\r\n\(host)\r\n"),
    ("a fragment", 400, "GET /a#b HTTP/1.1\r\n\(host)\r\n"),
    ("two spaces", 400, "GET  / HTTP/1.1\r\n\(host)\r\n"),
    ("a space at the end", 400, "GET / HTTP/1.1 \r\n\(host)\r\n"),
    ("a tab for a space", 400, "GET\t/ HTTP/1.1\r\n\(host)\r\n"),
    ("no target", 400, "GET HTTP/1.1\r\n\(host)\r\n"),
    ("no version", 400, "GET /\r\n\(host)\r\n"),
    ("a version in lower case", 400, "GET / http/1.1\r\n\(host)\r\n"),
    ("HTTP/2.0", 505, "GET / HTTP/2.0\r\n\(host)\r\n"), ("HTTP/1.2", 505, "GET / HTTP/1.2\r\n\(host)\r\n"),
    ("HTTP/1.10", 400, "GET / HTTP/1.10\r\n\(host)\r\n"),
    ("é in the target", 400, "GET /é HTTP/1.1\r\n\(host)\r\n"),
    ("two empty lines first", 400, "\r\n\r\nGET / HTTP/1.1\r\n\(host)\r\n"),
    ("another expectation", 417, post("Expect: 200-ok")),
    ("two authorizations", 400, post("Authorization: a\r\nauthorization: b")),
    ("a chunk without a size", 400, post("Transfer-Encoding: chunked", "\r\n[]\r\n0\r\n\r\n")),
    ("a chunk with a sign", 400, post("Transfer-Encoding: chunked", "+2\r\n[]\r\n0\r\n\r\n")),
    ("a chunk with 0x", 400, post("Transfer-Encoding: chunked", "0x2\r\n[]\r\n0\r\n\r\n")),
    ("a chunk with a space", 400, post("Transfer-Encoding: chunked", "2 \r\n[]\r\n0\r\n\r\n")),
    ("a chunk that is longer than it says", 400, post("Transfer-Encoding: chunked", "1\r\n[]\r\n0\r\n\r\n")),
    ("a chunk that ends with LF", 400, post("Transfer-Encoding: chunked", "2\r\n[]\n0\r\n\r\n")),
    ("a size that ends with LF", 400, post("Transfer-Encoding: chunked", "2\n[]\r\n0\r\n\r\n")),
    ("a size beyond 64 bits", 400, post("Transfer-Encoding: chunked", "fffffffffffffffff\r\n")),
    ("a chunk above the limit", 413, post("Transfer-Encoding: chunked", "41\r\n")),
    ("a NUL in an extension", 400, post("Transfer-Encoding: chunked", "2;a\0\r\n[]\r\n0\r\n\r\n")),
    ("a trailer that is not a field", 400, post("Transfer-Encoding: chunked", "0\r\nx\r\n\r\n")),
  ]

  @Test(
    "what two servers could read in two ways is refused, however it is cut", arguments: violations.indices)
  func wrong(index: Int) {
    let (name, status, text) = Self.violations[index]
    for piece in [Int.max, 1, 3, 64] { #expect(Self.read(text, piece: piece) == "\(status)", "\(name)") }
  }

  @Test("chunks may hold as much as the limit in all, and no more")
  func chunkSum() {
    func chunks(_ sizes: [Int]) -> String {
      Self.post(
        "Transfer-Encoding: chunked",
        sizes.map { "\(String($0, radix: 16))\r\n\(String(repeating: "x", count: $0))\r\n" }.joined()
          + "0\r\n\r\n")
    }
    #expect(Self.read(chunks([32, 32])).hasPrefix("POST / xxx"))
    #expect(Self.read(chunks([32, 33])) == "413")
  }

  @Test("each bound of a head holds just below and just above")
  func bounds() {
    let line = HTTP1Limits.requestLineBytesMax
    func target(_ count: Int) -> String {
      "GET /\(String(repeating: "a", count: count - "GET / HTTP/1.1".utf8.count)) HTTP/1.1\r\n\(Self.host)\r\n"
    }
    #expect(Self.read(target(line)).hasPrefix("GET /aaa"))
    #expect(Self.read(target(line + 1)) == "414")
    #expect(Self.read(String(repeating: "a", count: line + 2)) == "414", "before its end has come")

    func fields(_ count: Int) -> String {
      "GET / HTTP/1.1\r\n\(Self.host)" + String(repeating: "x: y\r\n", count: count - 1) + "\r\n"
    }
    #expect(Self.read(fields(HTTP1Limits.fieldsMax)) == "GET /")
    #expect(Self.read(fields(HTTP1Limits.fieldsMax + 1)) == "431")

    func head(_ bytes: Int) -> String {
      let rest = "GET / HTTP/1.1\r\n\(Self.host)x: \r\n\r\n".utf8.count
      return "GET / HTTP/1.1\r\n\(Self.host)x: \(String(repeating: "y", count: bytes - rest))\r\n\r\n"
    }
    #expect(Self.read(head(HTTP1Limits.headBytesMax)) == "GET /")
    #expect(Self.read(head(HTTP1Limits.headBytesMax + 2)) == "431")
    #expect(Self.read(String(head(100_000).dropLast(4))) == "431", "before its end has come")

    func chunk(_ count: Int) -> String {
      Self.post(
        "Transfer-Encoding: chunked", "2;\(String(repeating: "x", count: count - 2))\r\n[]\r\n0\r\n\r\n")
    }
    #expect(Self.read(chunk(HTTP1Limits.chunkLineBytesMax)) == "POST / []")
    #expect(Self.read(chunk(HTTP1Limits.chunkLineBytesMax + 1)) == "400")
  }

  @Test("the framing of chunks is bounded besides what they hold")
  func framing() {
    let line = "0;" + String(repeating: "x", count: 200) + "\r\n"
    let trailers = String(repeating: "x: \(String(repeating: "y", count: 200))\r\n", count: 400)
    #expect(Self.read(Self.post("Transfer-Encoding: chunked", line + trailers + "\r\n")) == "413")
  }

  @Test("what is read as a name and a value is one by the rules of HTTP")
  func fields() throws {
    for byte in UInt8.min...UInt8.max where byte != 0x0d && byte != 0x0a {
      let head = Array("GET / HTTP/1.1\r\nHost: a\r\n".utf8)
      func isRead(_ field: [UInt8]) -> Bool {
        let bytes = head + field + Array("\r\n\r\n".utf8)
        var parser = HTTP1Parser(bodyBytesMax: 0)
        return (try? parser.advance(bytes.span.bytes)) == .head
      }
      let isName = HTTPField.Name(String(UnicodeScalar(byte))) != nil && byte < 0x80
      // A colon in front makes the name empty, a second one is part of the value.
      if byte != UInt8(ascii: ":") {
        #expect(isRead([byte] + Array(": x".utf8)) == isName, "byte \(byte) as a name")
      }
      let isValue = byte >= 0x20 && byte != 0x7f || byte == 0x09
      #expect(isRead(Array("x: a".utf8) + [byte] + Array("b".utf8)) == isValue, "byte \(byte) in a value")
      if byte < 0x80 {
        #expect(
          HTTPField.isValidValue("a\(String(UnicodeScalar(byte)))b") == isValue, "byte \(byte) by the book")
      }
    }
  }
}
