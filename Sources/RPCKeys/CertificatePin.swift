internal import RPCWire

/// A certificate's key, by the SHA-256 of its SubjectPublicKeyInfo (RFC 7469, section 2.4), written `sha256//BASE64` as
/// curl's `--pinnedpubkey` takes it. It stays when a certificate is renewed with the same key.
public struct CertificatePin: Hashable, Sendable, CustomStringConvertible {
  static let prefix = "sha256//"
  static let byteCount = 32

  /// 32 bytes.
  public let digest: [UInt8]

  /// - Throws: `KeyError` where they are not 32.
  public init(digest: [UInt8]) throws(KeyError) {
    guard digest.count == Self.byteCount else {
      throw KeyError("a SHA-256 has \(Self.byteCount) bytes, not \(digest.count)")
    }
    self.digest = digest
  }

  /// One that was computed.
  init(checked digest: [UInt8]) { self.digest = digest }

  /// Reads `sha256//BASE64`.
  public init(parsing text: String) throws(KeyError) {
    guard text.hasPrefix(Self.prefix) else {
      throw KeyError("'\(text.prefix(64))' is not a pin; write \(Self.example)")
    }
    guard let digest = Base64.decode(text.dropFirst(Self.prefix.count)), digest.count == Self.byteCount else {
      throw KeyError("what follows \(Self.prefix) is not the base64 of 32 bytes; write \(Self.example)")
    }
    self.digest = digest
  }

  static let example = "sha256//BASE64, as 'rpc-server --print-pin' tells it"

  public var description: String { Self.prefix + Base64.encode(digest) }
}

/// How a server knows the certificate of a client: by its key, or by a name that an authority vouches for.
public enum ClientCertificate: Hashable, Sendable, CustomStringConvertible {
  case pin(CertificatePin)
  case name(String)

  /// The longest name, in bytes: that of the DNS.
  static let nameBytesMax = 255

  /// Reads `sha256//BASE64`, or else a name.
  public init(parsing text: String) throws(KeyError) {
    if text.hasPrefix(CertificatePin.prefix) {
      self = .pin(try CertificatePin(parsing: text))
      return
    }
    guard !text.isEmpty, text.utf8.count <= Self.nameBytesMax,
      text.unicodeScalars.allSatisfy({ $0.value > 0x20 && $0.value != 0x7f })
    else {
      throw KeyError(
        "'\(text.prefix(64))' is neither a pin, sha256//BASE64, nor a name of a certificate of at most "
          + "\(Self.nameBytesMax) bytes without spaces")
    }
    self = .name(text)
  }

  public var description: String {
    switch self {
    case .pin(let pin): pin.description
    case .name(let name): name
    }
  }
}
