import RPCServer
import RPCWire

/// What gRPC, gRPC-Web and Connect write as text.
enum WebTextTarget {
  static func text(_ bytes: [UInt8]) throws(BrokenPromise) {
    try percent(bytes)
    try base64(bytes)
    let timeout = bytes.withUnsafeBufferPointer { GRPCTimeout.nanoseconds($0) }
    try promise(timeout != 0, "a timeout that is over before it begins")
  }

  /// Percent-coding never makes more of a text, and what is written as a message is printable and comes back.
  private static func percent(_ bytes: [UInt8]) throws(BrokenPromise) {
    if let decoded = PercentCoding.decode(bytes) {
      let marks = bytes.count { $0 == UInt8(ascii: "%") }
      try promise(decoded.count == bytes.count - 2 * marks, "\(bytes.count) bytes became \(decoded.count)")
    }
    guard let text = String(validating: bytes, as: UTF8.self) else { return }
    let message = Array(PercentCoding.encode(message: text).utf8)
    try promise(message.allSatisfy { (0x20...0x7e).contains($0) }, "a message that is not printable")
    try promise(PercentCoding.decode(message) == bytes, "a message that does not come back")
  }

  /// What is base64 comes back, in one piece or in two.
  private static func base64(_ bytes: [UInt8]) throws(BrokenPromise) {
    if let decoded = GRPCWebText.decode(bytes) {
      try promise(
        decoded.count <= bytes.count / 4 * 3, "\(bytes.count) characters hold \(decoded.count) bytes")
    }
    let half = bytes.count / 2
    let pieces = [Array(bytes[..<half]), Array(bytes[half...])]
    for text in [Base64.encode(bytes), pieces.map { Base64.encode($0) }.joined()] {
      try promise(GRPCWebText.decode(Array(text.utf8)) == bytes, "base64 that does not come back")
    }
  }
}
