internal import COpenSSL
internal import Glibc
package import RPCKeys
internal import RPCSystem

/// A certificate with those that lead to its authority, and its private key, as PEM.
package struct TLSIdentity: Hashable, Sendable {
  package let chain: [UInt8]
  private let privateKey: [UInt8]
  /// What clients pin.
  package let pin: CertificatePin
  /// What it names: hosts for the most part, also with `*` as their first label.
  package let names: [String]
  /// Its key, where that is an Ed25519 key: such a client is known by it as if it had proven it.
  package let key: PublicKey?

  /// The private half of `key`, for what is signed outside of TLS; nil where it is not in the form that OpenSSL writes.
  package var signingKey: PrivateKey? {
    guard let own = PrivateKey(pem: String(decoding: privateKey, as: UTF8.self)), own.publicKey == key else {
      return nil
    }
    return own
  }

  /// - Parameter source: names the files in messages.
  /// - Throws: `TLSError` where they cannot be read, or do not belong together.
  package init(chain: [UInt8], key: [UInt8], source: String) throws(TLSError) {
    self.chain = chain
    privateKey = key
    _ = OpenSSLErrors.take()
    guard let certificate = rpc_tls_read_certificate(chain, chain.count) else {
      _ = OpenSSLErrors.take()
      throw TLSError("\(source) holds no certificate in PEM ('-----BEGIN CERTIFICATE-----')")
    }
    defer { X509_free(certificate) }
    guard let pin = CertificatePin(of: certificate) else { throw TLSError("\(source): the key is of no use") }
    self.pin = pin
    names = TLSPeer.names(of: certificate)
    self.key = TLSPeer.key(of: certificate)
    guard let context = rpc_tls_context(1) else { throw .noMemory }
    defer { SSL_CTX_free(context) }
    try install(in: context, source: source)
  }

  internal func install(in context: OpaquePointer, source: String = "the certificate") throws(TLSError) {
    guard rpc_tls_use_chain(context, chain, chain.count) == 1 else {
      throw TLSError("\(source) cannot be used: \(OpenSSLErrors.take() ?? "no reason told")")
    }
    guard rpc_tls_use_key(context, privateKey, privateKey.count) == 1 else {
      let reason = OpenSSLErrors.take() ?? "no private key in PEM"
      throw TLSError("the private key of \(source) cannot be used: \(reason)")
    }
  }

  /// Whether the certificate's time is over.
  package var isExpired: Bool {
    guard let certificate = rpc_tls_read_certificate(chain, chain.count) else { return false }
    defer { X509_free(certificate) }
    return rpc_tls_is_expired(certificate) != 0
  }

  // MARK: Files

  /// Reads a certificate and its key from files of PEM.
  ///
  /// - Throws: `KeyError` with the file and what is wrong with it.
  package init(certificate: String, key: String) throws(KeyError) {
    let chain = try Self.read(certificate)
    let secret = try Self.readKey(key)
    do {
      self = try TLSIdentity(chain: chain, key: secret, source: certificate)
    } catch {
      throw KeyError("\(error) (the key is in \(key))")
    }
  }

  /// Reads a private key, which must be one that a program can use by itself.
  private static func readKey(_ path: String) throws(KeyError) -> [UInt8] {
    let text = String(decoding: try read(path), as: UTF8.self)
    guard text.contains("PRIVATE KEY-----") else {
      throw KeyError("'\(path)' holds no private key in PEM ('-----BEGIN PRIVATE KEY-----')")
    }
    // PKCS #8 says it in its first line, older forms in their second.
    guard !text.contains("ENCRYPTED") else {
      throw KeyError(
        "the private key in '\(path)' is locked with a passphrase, which nobody is asked for here; "
          + "unlock it: openssl pkey -in '\(path)' -out FILE")
    }
    return try read(path, isSecret: true)
  }

  /// Reads a file of PEM.
  ///
  /// - Parameter isSecret: nobody else may read it.
  package static func read(_ path: String, isSecret: Bool = false) throws(KeyError) -> [UInt8] {
    var status = stat()
    guard stat(path, &status) == 0 else {
      throw KeyError("'\(path)' cannot be read: \(String(cString: strerror(errno)))")
    }
    guard status.st_mode & S_IFMT == S_IFREG else { throw KeyError("'\(path)' is not a file") }
    guard !isSecret || status.st_mode & 0o007 == 0 else {
      throw KeyError("\(path) holds a private key and may be read by everybody: chmod o= '\(path)'")
    }
    do {
      return try WholeFile.read(path, limit: TLSLimits.fileBytesMax)
    } catch {
      throw KeyError(
        error.code == EFBIG
          ? "'\(path)' has more than \(TLSLimits.fileBytesMax) bytes, the limit"
          : "'\(path)' cannot be read: \(error.reason)")
    }
  }

  // MARK: Making one

  /// PEM of a key or a certificate of ours has some hundred bytes.
  private static let pemBytesMax = 16 * 1024

  /// A private key on the curve P-256, which every client takes.
  package static func makeKey() throws(TLSError) -> [UInt8] {
    try text { rpc_tls_make_key($0, pemBytesMax) }
  }

  /// A certificate of that key, signed with it, for these addresses and host names.
  package static func makeCertificate(
    key: [UInt8], name: String, addresses: [String], hosts: [String]
  ) throws(TLSError) -> [UInt8] {
    let names = hosts.map { "DNS:\($0)" } + addresses.map { "IP:\($0)" }
    return try text { buffer in
      key.withUnsafeBufferPointer { key in
        key.withMemoryRebound(to: CChar.self) {
          rpc_tls_make_certificate(
            $0.baseAddress, $0.count, name, names.joined(separator: ","), buffer, pemBytesMax)
        }
      }
    }
  }

  private static func text(_ make: (UnsafeMutablePointer<CChar>) -> Int) throws(TLSError) -> [UInt8] {
    _ = OpenSSLErrors.take()
    var buffer = [CChar](repeating: 0, count: pemBytesMax)
    let count = buffer.withUnsafeMutableBufferPointer { $0.baseAddress.map(make) ?? 0 }
    guard count > 0 else {
      throw TLSError("no certificate could be made: \(OpenSSLErrors.take() ?? "no reason told")")
    }
    return buffer.prefix(count).map { UInt8(bitPattern: $0) }
  }
}

extension TLSError {
  internal static let noMemory = TLSError("OpenSSL has no memory")
}
