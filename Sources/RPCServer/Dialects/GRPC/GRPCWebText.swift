internal import RPCWire

/// The base64 of gRPC-Web as text.
package enum GRPCWebText {
  /// The bytes of a body, which may come in several pieces, each with its padding; nil where it is no base64.
  package static func decode(_ text: [UInt8]) -> [UInt8]? {
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
