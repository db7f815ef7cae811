internal import Crypto
internal import RPCWire

/// An Ed25519 private key (RFC 8032): proves who its owner is. Read from the file that
/// `ssh-keygen -t ed25519 -N '' -f FILE` makes.
public struct PrivateKey: Sendable, CustomStringConvertible, CustomReflectable {
  public let publicKey: PublicKey
  /// What signs, made once: making it from the seed costs as much as a signature.
  private let signing: Curve25519.Signing.PrivateKey

  static let header = "-----BEGIN OPENSSH PRIVATE KEY-----"
  static let footer = "-----END OPENSSH PRIVATE KEY-----"
  /// What the bytes inside begin with (PROTOCOL.key of OpenSSH).
  static let magic = Array("openssh-key-v1\0".utf8)

  /// Reads the text of a key file.
  ///
  /// - Throws: `KeyError` where it is not such a file, or the key is of another kind or has a passphrase.
  public init(parsing text: String) throws(KeyError) {
    let lines = text.split(whereSeparator: \.isNewline).map(String.init)
    guard lines.first == Self.header, lines.last == Self.footer, lines.count > 2 else {
      if (try? PublicKey(parsing: text)) != nil {
        throw KeyError("this is a public key; the private one is in the file without .pub")
      }
      throw KeyError("this is not an OpenSSH private key: ssh-keygen -t ed25519 -N '' -f FILE makes one")
    }
    guard let bytes = Base64.decode(lines[1..<lines.count - 1].joined()) else {
      throw KeyError("the key is damaged: its Base64 is not whole")
    }
    var reader = KeyReader(bytes)
    guard try Array(reader.take(Self.magic.count)) == Self.magic else {
      throw KeyError("the key is of a version that is not known here")
    }
    let cipher = try reader.string()
    // The way to derive a key from a passphrase, and its options.
    _ = try (reader.string(), reader.string())
    guard cipher == Array("none".utf8) else {
      throw KeyError(
        "the key has a passphrase, for which nobody can be asked here: ssh-keygen -p -N '' -f FILE takes it away"
      )
    }
    guard try reader.number() == 1 else { throw KeyError("the file has several keys, not one") }
    let published = try reader.string()
    var secret = KeyReader(try reader.string())
    // Twice the same number: it tells a wrong passphrase where there is one.
    guard try secret.number() == secret.number() else { throw KeyError("the key is damaged") }
    let algorithm = String(decoding: try secret.string(), as: UTF8.self)
    guard algorithm == PublicKey.algorithm else {
      throw KeyError(
        "keys are of the kind \(PublicKey.algorithm), not \(algorithm): ssh-keygen -t ed25519 makes one")
    }
    let own = try PublicKey(bytes: secret.string())
    let pair = try secret.string()
    guard pair.count == 2 * PublicKey.byteCount, Array(pair.suffix(PublicKey.byteCount)) == own.bytes else {
      throw KeyError("the key is damaged: its halves do not belong together")
    }
    try self.init(seed: Array(pair.prefix(PublicKey.byteCount)))
    var outer = KeyReader(published)
    guard try outer.string() == Array(PublicKey.algorithm.utf8), try outer.string() == own.bytes,
      publicKey == own
    else { throw KeyError("the key is damaged: its halves do not belong together") }
  }

  /// - Parameter seed: 32 bytes that nobody else knows.
  public init(seed: [UInt8]) throws(KeyError) {
    guard let key = try? Curve25519.Signing.PrivateKey(rawRepresentation: seed) else {
      throw KeyError("an Ed25519 private key has \(PublicKey.byteCount) bytes, not \(seed.count)")
    }
    self.init(key)
  }

  init(_ signing: Curve25519.Signing.PrivateKey) {
    self.signing = signing
    publicKey = PublicKey(checked: Array(signing.publicKey.rawRepresentation))
  }

  /// The 32 bytes from which everything else follows (RFC 8032, section 5.1.5).
  var seed: [UInt8] { Array(signing.rawRepresentation) }

  // Logs and debuggers show whatever has no words of its own, member by member.
  public var description: String { "private key of \(publicKey.fingerprint)" }
  public var customMirror: Mirror { Mirror(self, children: []) }

  /// - Returns: 64 bytes.
  func signature(of statement: [UInt8]) -> [UInt8] {
    guard let signature = try? signing.signature(for: statement) else {
      preconditionFailure("an Ed25519 key signs whatever bytes there are")
    }
    return Array(signature)
  }
}
