internal import RPCWire

extension PrivateKey {
  /// What stands before the seed in the one form in which OpenSSL writes Ed25519 keys (RFC 8410, section 7).
  private static let head: [UInt8] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
  ]

  /// The first private key of a text in PEM; nil where that is none of Ed25519 in its usual form.
  package init?(pem text: String) {
    let lines = text.split(whereSeparator: \.isNewline).map { $0.trimmingWhitespace }
    guard let begin = lines.firstIndex(of: "-----BEGIN PRIVATE KEY-----"),
      let end = lines[begin...].firstIndex(of: "-----END PRIVATE KEY-----"),
      let bytes = Base64.decode(lines[(begin + 1)..<end].joined()), bytes.starts(with: Self.head),
      let key = try? PrivateKey(seed: Array(bytes.dropFirst(Self.head.count)))
    else { return nil }
    self = key
  }
}

extension Substring {
  fileprivate var trimmingWhitespace: String {
    String(drop(while: \.isWhitespace).reversed().drop(while: \.isWhitespace).reversed())
  }
}
