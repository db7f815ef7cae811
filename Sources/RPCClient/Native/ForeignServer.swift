internal import RPCWire

/// Recognises what answers where an rpc-server was expected, by its first bytes: a wrong port is the most frequent
/// mistake, and its bytes read as a frame say nothing to anybody.
internal enum ForeignServer {
  /// What answered, in words, or nil where the bytes may be the beginning of frames or are of no known kind.
  internal static func recognise(_ bytes: RawSpan) -> String? {
    let first = unsafe bytes.withUnsafeBytes { unsafe [UInt8]($0.prefix(readBytesMax)) }
    // Some leave out the status line where the request is none that they know.
    let start = String(decoding: first.prefix(14), as: UTF8.self).lowercased()
    if ["http/", "<!doctype html", "<html"].contains(where: { start.hasPrefix($0) }) {
      return "an HTTP server answered"
    }
    if first.starts(with: "SSH-".utf8) { return "an SSH server answered" }
    // A TLS record: an alert (21) or a handshake (22), and the version 3.x. As a frame it would be no HELLO.
    if first.count >= 5, first[0] == 21 || first[0] == 22, first[1] == 3, first[4] != FrameKind.hello.rawValue
    {
      return "a TLS server answered"
    }
    // Four letters as a length are half a gigabyte and more: no HELLO.
    guard first.count >= 4, first.prefix(4).allSatisfy({ (0x20..<0x7f).contains($0) }) else { return nil }
    // Whatever follows, so that it does not depend on how much has come.
    let line = first.prefix { $0 >= 0x20 && $0 != 0x7f }
    let text = String(decoding: line.prefix(shownBytesMax), as: UTF8.self)
    if let message = (try? Value(json: Array(line)))?["value"]?["exception-message"]?.stringValue {
      return "it answered with a line of JSON: \(message)"
    }
    if first[0] == UInt8(ascii: "{") { return "it answered with a line of JSON: \(text)" }
    return "it answered \"\(text)\""
  }

  /// As much of a foreign answer as is looked at, and as is shown, in bytes.
  private static let readBytesMax = 2048
  private static let shownBytesMax = 120
}
