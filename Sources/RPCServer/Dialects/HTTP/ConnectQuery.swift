internal import HTTPTypes
internal import RPCWire

/// The query of a call with GET: `?connect=v1&encoding=json&message=%7B%22a%22%3A1%7D`.
internal struct ConnectQuery {
  /// The arguments, as JSON.
  let message: [UInt8]

  /// - Throws: where the request is not a call, and then how one is made.
  init(_ bytes: RawSpan, _ range: Range<Int>?) throws(HTTPRefusal) {
    var values: [String: [UInt8]] = [:]
    let text = range.map { bytes.extracting($0).withUnsafeBytes { Array($0) } } ?? []
    for pair in text.split(separator: UInt8(ascii: "&")) {
      let end = pair.firstIndex(of: UInt8(ascii: "=")) ?? pair.endIndex
      guard let name = PercentCoding.decode(pair[..<end], plusIsSpace: true),
        let value = PercentCoding.decode(pair[end...].dropFirst(), plusIsSpace: true)
      else { throw Self.wrong("the query of the URL is not percent-coded as it must be") }
      guard values.updateValue(value, forKey: String(decoding: name, as: UTF8.self)) == nil else {
        throw Self.wrong("'\(String(decoding: name, as: UTF8.self).prefix(32))' is in the query twice")
      }
    }
    func word(_ name: String) -> String? { values[name].map { String(decoding: $0, as: UTF8.self) } }
    guard word("encoding") != nil, let message = values["message"] else {
      throw HTTPRefusal(
        .methodNotAllowed, .unimplemented,
        "a procedure is called with POST, or with GET and the query ?connect=v1&encoding=json&message=ARGUMENTS",
        allowed: "POST, OPTIONS")
    }
    if let version = word("connect"), version != "v1" {
      throw Self.wrong("'connect' is v1, not '\(version.prefix(16))'")
    }
    guard word("encoding") == "json" else {
      throw HTTPRefusal(
        .unsupportedMediaType, .invalidArgument,
        "'encoding' is json, not '\((word("encoding") ?? "").prefix(16))'")
    }
    if let coding = word("compression"), coding != "identity", !coding.isEmpty {
      throw HTTPRefusal(
        .notImplemented, .unimplemented, "arguments are not compressed here, with \(coding.prefix(16))")
    }
    guard word("base64") == "1" else {
      self.message = message
      return
    }
    guard let decoded = Base64.decodeURL(message) else { throw Self.wrong("'message' is not base64") }
    self.message = decoded
  }

  private static func wrong(_ message: String) -> HTTPRefusal {
    HTTPRefusal(.badRequest, .invalidArgument, message)
  }
}

extension Base64 {
  /// Bytes in either alphabet of RFC 4648, padded or not.
  internal static func decodeURL(_ text: [UInt8]) -> [UInt8]? {
    var standard = text.map {
      $0 == UInt8(ascii: "-") ? UInt8(ascii: "+") : $0 == UInt8(ascii: "_") ? UInt8(ascii: "/") : $0
    }
    while standard.count % 4 != 0 { standard.append(UInt8(ascii: "=")) }
    return decode(String(decoding: standard, as: UTF8.self))
  }
}
