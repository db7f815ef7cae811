internal import HTTPTypes

/// The request line and the fields.
extension HTTP1Parser {
  internal mutating func readRequestLine(_ line: Range<Int>, _ bytes: RawSpan) throws(HTTP1Violation) {
    let malformed = HTTP1Violation(
      .badRequest, "the request line is not METHOD TARGET HTTP/1.1 with one space between each")
    var spaces: [Int] = []
    for index in line {
      let byte = bytes.at(index)
      if byte == 0x20 {
        guard spaces.count < 2 else { throw malformed }
        spaces.append(index)
      } else if byte < 0x21 || byte > 0x7e {
        throw HTTP1Violation(
          .badRequest, "the request line holds byte \(Self.hexadecimal(byte)), which must be coded")
      }
    }
    guard spaces.count == 2, spaces[0] > line.lowerBound, spaces[1] > spaces[0] + 1 else { throw malformed }
    try readVersion(spaces[1] + 1..<line.upperBound, bytes)
    let methodRange = line.lowerBound..<spaces[0]
    for index in methodRange where !Self.isToken(bytes.at(index)) { throw malformed }
    head.method = method(methodRange, bytes)
    try readTarget(spaces[0] + 1..<spaces[1], bytes)
  }

  private func method(_ range: Range<Int>, _ bytes: RawSpan) -> HTTPRequest.Method {
    bytes.extracting(range).withUnsafeBytes { name in
      if name.elementsEqual("POST".utf8) { return .post }
      if name.elementsEqual("GET".utf8) { return .get }
      return HTTPRequest.Method(String(decoding: name, as: UTF8.self)) ?? .trace
    }
  }

  private mutating func readVersion(_ range: Range<Int>, _ bytes: RawSpan) throws(HTTP1Violation) {
    let isVersion = bytes.extracting(range).withUnsafeBytes { text in
      text.count == 8 && text.prefix(5).elementsEqual("HTTP/".utf8) && text[6] == 0x2e
        && (0x30...0x39).contains(text[5]) && (0x30...0x39).contains(text[7])
    }
    guard isVersion else {
      throw HTTP1Violation(.badRequest, "the request line does not end with a version such as HTTP/1.1")
    }
    let minor = bytes.at(range.upperBound - 1) - 0x30
    guard bytes.at(range.lowerBound + 5) == 0x31, minor <= 1 else {
      throw HTTP1Violation(
        .httpVersionNotSupported, "HTTP/1.1 and HTTP/1.0 are spoken here, not \(bytes.text(range))")
    }
    head.minorVersion = Int(minor)
    head.closes = minor == 0
  }

  private mutating func readTarget(_ range: Range<Int>, _ bytes: RawSpan) throws(HTTP1Violation) {
    for index in range where bytes.at(index) == UInt8(ascii: "#") {
      throw HTTP1Violation(.badRequest, "a target has no fragment")
    }
    head.target = range
    if bytes.at(range.lowerBound) == UInt8(ascii: "/") {
      head.form = .origin
      return
    }
    if range.count == 1, bytes.at(range.lowerBound) == UInt8(ascii: "*"), head.method == .options {
      head.form = .asterisk
      return
    }
    var start: Int?
    for scheme in ["http://", "https://"] as [StaticString] where range.count > scheme.utf8CodeUnitCount {
      let end = range.lowerBound + scheme.utf8CodeUnitCount
      if bytes.isEqual(range.lowerBound..<end, ignoringCase: scheme) { start = end }
    }
    guard let authority = start else {
      throw HTTP1Violation(.badRequest, "the target is neither a path nor a URL of HTTP")
    }
    var end = authority
    while end < range.upperBound, bytes.at(end) != UInt8(ascii: "/"), bytes.at(end) != UInt8(ascii: "?") {
      end += 1
    }
    guard end > authority, end < range.upperBound, bytes.at(end) == UInt8(ascii: "/") else {
      throw HTTP1Violation(.badRequest, "the URL in the request line has no host, or no path")
    }
    head.form = .absolute
    head.authority = authority..<end
    head.target = end..<range.upperBound
  }

  internal mutating func readField(_ line: Range<Int>, _ bytes: RawSpan) throws(HTTP1Violation) {
    guard head.fields.count < HTTP1Limits.fieldsMax else {
      throw HTTP1Violation(
        .requestHeaderFieldsTooLarge, "the request has more than \(HTTP1Limits.fieldsMax) fields",
        actual: head.fields.count + 1, limit: HTTP1Limits.fieldsMax)
    }
    let field = try Self.field(line, bytes)
    if let known = field.known, !head.note(known), !known.isList {
      throw HTTP1Violation(.badRequest, "the field '\(known.name)' comes twice")
    }
    head.fields.append(field)
  }

  /// Reads a line as a field.
  internal static func field(_ line: Range<Int>, _ bytes: RawSpan) throws(HTTP1Violation) -> HTTP1Field {
    let first = bytes.at(line.lowerBound)
    guard !isSpace(first) else {
      throw HTTP1Violation(.badRequest, "a line begins with a space: fields are not folded over lines")
    }
    var colon = line.lowerBound
    while colon < line.upperBound, isToken(bytes.at(colon)) { colon += 1 }
    guard colon < line.upperBound, bytes.at(colon) == UInt8(ascii: ":"), colon > line.lowerBound else {
      let isSpaced = colon < line.upperBound && isSpace(bytes.at(colon))
      throw HTTP1Violation(
        .badRequest,
        isSpaced ? "a space stands before the colon of a field" : "a line is not a field: NAME: VALUE")
    }
    var value = colon + 1..<line.upperBound
    while let index = value.first, isSpace(bytes.at(index)) { value.removeFirst() }
    while let index = value.last, isSpace(bytes.at(index)) { value.removeLast() }
    for index in value {
      let byte = bytes.at(index)
      guard byte >= 0x20 && byte != 0x7f || byte == 0x09 else {
        throw HTTP1Violation(.badRequest, "the value of a field holds byte \(hexadecimal(byte))")
      }
    }
    let name = line.lowerBound..<colon
    return HTTP1Field(
      name: name, value: value, known: bytes.extracting(name).withUnsafeBytes { HTTP1KnownField($0) })
  }

  /// Works out what the fields say of the body and the connection.
  internal mutating func finishHead(_ bytes: RawSpan) throws(HTTP1Violation) {
    state = .body
    if head.minorVersion == 1, !head.has(.host) {
      throw HTTP1Violation(.badRequest, "the field 'host' is missing")
    }
    if let authority = head.authority, let host = head.range(of: .host),
      bytes.text(host).lowercased() != bytes.text(authority).lowercased()
    {
      throw HTTP1Violation(.badRequest, "the host of the request line is not that of the field 'host'")
    }
    if let value = head.range(of: .transferEncoding) {
      guard !head.has(.contentLength) else {
        throw HTTP1Violation(.badRequest, "a request has 'content-length' or 'transfer-encoding', not both")
      }
      guard head.minorVersion == 1 else {
        throw HTTP1Violation(.badRequest, "HTTP/1.0 has no 'transfer-encoding'")
      }
      guard bytes.isEqual(value, ignoringCase: "chunked") else {
        throw HTTP1Violation(.notImplemented, "the only transfer coding is 'chunked'")
      }
      head.isChunked = true
      state = .chunkLine
    }
    if let value = head.range(of: .contentLength) { head.contentLength = try length(value, bytes) }
    if let value = head.range(of: .expect) {
      guard bytes.isEqual(value, ignoringCase: "100-continue") else {
        throw HTTP1Violation(.expectationFailed, "the only expectation is '100-continue'")
      }
      head.expectsContinue = head.minorVersion == 1
    }
    if head.has(.connection) { readConnection(bytes) }
  }

  private mutating func readConnection(_ bytes: RawSpan) {
    for field in head.fields where field.known == .connection {
      for option in bytes.text(field.value).split(separator: ",") {
        let name = option.filter { $0 != " " && $0 != "\t" }.lowercased()
        if name == "close" { head.closes = true }
      }
    }
  }

  private func length(_ value: Range<Int>, _ bytes: RawSpan) throws(HTTP1Violation) -> Int {
    var length = 0
    guard (1...18).contains(value.count) else {
      throw HTTP1Violation(.badRequest, "'content-length' is not a number of bytes")
    }
    for index in value {
      let digit = bytes.at(index) &- 0x30
      guard digit <= 9 else { throw HTTP1Violation(.badRequest, "'content-length' is not a number of bytes") }
      length = length * 10 + Int(digit)
    }
    try checkBody(length)
    return length
  }

  internal func checkBody(_ count: Int) throws(HTTP1Violation) {
    guard count <= bodyBytesMax else {
      throw HTTP1Violation(
        .contentTooLarge, "a body of \(count) bytes, the limit is \(bodyBytesMax)", actual: count,
        limit: bodyBytesMax)
    }
  }

  // MARK: Characters

  @inline(__always)
  private static func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 }

  /// Whether a byte may stand in a name (RFC 9110, section 5.6.2).
  @inline(__always)
  internal static func isToken(_ byte: UInt8) -> Bool {
    // A bit for each of the first 128 characters.
    byte < 128
      && (byte < 64 ? 0x03ff_6cfa_0000_0000 as UInt64 : 0x57ff_ffff_c7ff_fffe) >> UInt64(byte & 63) & 1 == 1
  }

  internal static func hexadecimal(_ byte: UInt8) -> String {
    "0x\(byte < 16 ? "0" : "")\(String(byte, radix: 16))"
  }
}
