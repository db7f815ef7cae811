internal import HTTPTypes
internal import RPCProcedures
internal import RPCWire

/// The query of a call with GET: `?connect=v1&encoding=json&message=%7B%22a%22%3A1%7D`.
internal struct ConnectQuery {
  /// How the arguments are written.
  let format: any UnaryFormat.Type
  let message: [UInt8]

  /// - Parameter text: what stands behind the question mark.
  /// - Throws: where the request is not a call, and then how one is made.
  init(_ text: some Collection<UInt8>) throws(HTTPRefusal) {
    var values: [String: [UInt8]] = [:]
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
    switch word("encoding") {
    case "json": format = ConnectJSON.self
    case "proto": format = ConnectProto.self
    default:
      throw HTTPRefusal(
        .unsupportedMediaType, .invalidArgument,
        "'encoding' is json or proto, not '\((word("encoding") ?? "").prefix(16))'")
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

  /// Whether a call may come as GET: an image in a page makes a browser send one, and beyond loopback nothing in it tells
  /// that from a person's own. A token no browser adds by itself.
  static func allow(
    _ overloads: [BoundProcedure], hasToken: Bool, _ options: ServerOptions
  ) throws(HTTPRefusal) {
    guard overloads.allSatisfy(\.procedure.idempotent) else {
      throw HTTPRefusal(
        .methodNotAllowed, .unimplemented,
        "\(overloads[0].signature.qualifiedName) is not declared idempotent, so it is called with POST alone",
        allowed: "POST, OPTIONS")
    }
    guard hasToken || options.allowsGet else {
      throw HTTPRefusal(
        .methodNotAllowed, .unimplemented,
        "calls with GET take a token, or a server that was started with --allow-get: any page could send them",
        allowed: "POST, OPTIONS")
    }
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
