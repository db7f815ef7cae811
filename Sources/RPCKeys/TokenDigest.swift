internal import Crypto

/// What is known of a client's token: its SHA-256. Who reads it where it is kept cannot make the token of it, which has 32
/// random bytes.
public struct TokenDigest: Hashable, Sendable, CustomStringConvertible {

  private let bytes: [UInt8]

  /// The digest of a token, as it is written behind `Bearer`.
  package init(of token: [UInt8]) {
    bytes = Array(SHA256.hash(data: token))
  }

  /// Reads 64 hexadecimal digits, as `sha256sum` prints them.
  public init(parsing text: String) throws(KeyError) {
    let digits = text.utf8.compactMap { digit -> UInt8? in
      switch digit {
      case UInt8(ascii: "0")...UInt8(ascii: "9"): digit - UInt8(ascii: "0")
      case UInt8(ascii: "a")...UInt8(ascii: "f"): digit - UInt8(ascii: "a") + 10
      default: nil
      }
    }
    guard digits.count == 64, text.utf8.count == 64 else {
      throw KeyError(
        "the SHA-256 of a token is 64 digits of lower-case hexadecimal, not \(text.utf8.count) bytes: "
          + "printf %s TOKEN | sha256sum prints it")
    }
    bytes = stride(from: 0, to: 64, by: 2).map { digits[$0] << 4 | digits[$0 + 1] }
  }

  /// 64 hexadecimal digits.
  public var description: String {
    let digits = Array("0123456789abcdef".utf8)
    return String(decoding: bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
  }
}
