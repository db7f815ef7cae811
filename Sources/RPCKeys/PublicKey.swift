internal import Crypto
internal import RPCWire

/// An Ed25519 public key (RFC 8032): who its owner is to everybody else. Written as OpenSSH writes it,
/// `ssh-ed25519 AAAA…`, so that `ssh-keygen -t ed25519` makes one.
public struct PublicKey: Hashable, Sendable, CustomStringConvertible {
  public static let byteCount = 32
  static let algorithm = "ssh-ed25519"

  /// The 32 bytes of RFC 8032, section 5.1.5.
  public let bytes: [UInt8]

  /// Every public key of somebody else comes in here, from files and from the wire alike.
  ///
  /// - Throws: `KeyError` where they are not 32, or a point of the curve that nobody can own alone.
  public init(bytes: [UInt8]) throws(KeyError) {
    guard bytes.count == Self.byteCount else {
      throw KeyError("an Ed25519 public key has \(Self.byteCount) bytes, not \(bytes.count)")
    }
    if let problem = CurvePoint.problem(with: bytes) { throw KeyError(problem) }
    self.bytes = bytes
  }

  /// One that was made from a private key.
  init(checked bytes: [UInt8]) { self.bytes = bytes }

  /// Reads `ssh-ed25519 BASE64`, and a comment behind it if there is one: the line of a `.pub` file.
  public init(parsing text: String) throws(KeyError) {
    let lines = text.split(whereSeparator: \.isNewline).count { !$0.allSatisfy(\.isWhitespace) }
    let words = text.split(whereSeparator: \.isWhitespace)
    guard let first = words.first else { throw KeyError("the key is empty; write \(Self.example)") }
    guard first == Self.algorithm else {
      if text.contains("PRIVATE KEY") {
        throw KeyError(
          "this is a private key, which belongs to nobody else; the public one is beside it in FILE.pub")
      }
      let isOtherKey = first.hasPrefix("ssh-") || first.hasPrefix("ecdsa-") || first.hasPrefix("sk-")
      throw KeyError(
        isOtherKey
          ? "keys are of the kind \(Self.algorithm), not \(first.prefix(32)): ssh-keygen -t ed25519 makes one"
          : "'\(first.prefix(32))' is not a public key; write \(Self.example)")
    }
    guard lines == 1 else {
      throw KeyError("one key, not \(lines) lines: what follows the first would be lost")
    }
    guard words.count > 1, let blob = Base64.decode(words[1]) else {
      throw KeyError("what follows \(Self.algorithm) is not whole: copy the line of the .pub file as it is")
    }
    var reader = KeyReader(blob)
    guard try reader.string() == Array(Self.algorithm.utf8), case let bytes = try reader.string(),
      reader.isAtEnd
    else {
      throw KeyError(
        "what follows \(Self.algorithm) is not such a key: copy the line of the .pub file as it is")
    }
    try self.init(bytes: bytes)
  }

  static let example = "ssh-ed25519 AAAA…, the line of the .pub file that ssh-keygen -t ed25519 makes"

  /// As OpenSSH writes it, without a comment.
  public var description: String { "\(Self.algorithm) \(Base64.encode(blob))" }

  /// Short enough for people and logs: what `ssh-keygen -l` shows.
  public var fingerprint: String {
    let digest = Base64.encode(Array(SHA256.hash(data: blob)))
    return "SHA256:" + String(digest.prefix { $0 != "=" })
  }

  /// What stands in key files, and what fingerprints are made of.
  var blob: [UInt8] {
    [Array(Self.algorithm.utf8), bytes].reduce(into: []) { $0 += [0, 0, 0, UInt8($1.count)] + $1 }
  }

  /// How a certificate of this key is pinned: its SubjectPublicKeyInfo is a fixed beginning (RFC 8410, section 4) and
  /// the key.
  package var certificatePin: CertificatePin {
    let head: [UInt8] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00]
    return CertificatePin(checked: Array(SHA256.hash(data: head + bytes)))
  }

  /// Whether `signature` was made over `statement` by the owner of this key.
  func verifies(_ signature: [UInt8], of statement: [UInt8]) -> Bool {
    guard let key = try? Curve25519.Signing.PublicKey(rawRepresentation: bytes) else { return false }
    return key.isValidSignature(signature, for: statement)
  }
}
