internal import COpenSSL
package import RPCKeys

/// The certificate that a peer has proven to own.
package struct TLSPeer: Hashable, Sendable {
  package var pin: CertificatePin
  /// Its key, where that is an Ed25519 key.
  package var key: PublicKey?
  /// The names that an authority vouches for; empty where none does.
  package var names: [String] = []

  /// - Parameter isVerified: an authority that the owner trusts has signed the certificate, and it is valid now.
  internal init?(_ certificate: OpaquePointer, isVerified: Bool) {
    guard let pin = CertificatePin(of: certificate) else { return nil }
    self.pin = pin
    key = Self.key(of: certificate)
    if isVerified { names = Self.names(of: certificate) }
  }

  /// Nil where it is of another kind.
  internal static func key(of certificate: OpaquePointer) -> PublicKey? {
    var bytes = [UInt8](repeating: 0, count: PublicKey.byteCount)
    return rpc_tls_ed25519_key(certificate, &bytes) != 0 ? try? PublicKey(bytes: bytes) : nil
  }

  /// The names that stand in a certificate: anybody's word, unless an authority vouches for it.
  internal static func names(of certificate: OpaquePointer) -> [String] {
    var names: [String] = []
    withUnsafeMutablePointer(to: &names) { names in
      rpc_tls_names(certificate, names) { names, text, count in
        guard let names, let text, count <= TLSLimits.nameBytesMax else { return }
        let bytes = UnsafeRawBufferPointer(start: text, count: count)
        guard !bytes.contains(0), let name = String(validating: bytes, as: UTF8.self) else { return }
        let list = names.assumingMemoryBound(to: [String].self)
        if list.pointee.count < TLSLimits.namesMax { list.pointee.append(name) }
      }
    }
    return names
  }
}

extension CertificatePin {
  /// The pin of an `X509`.
  internal init?(of certificate: OpaquePointer) {
    var digest = [UInt8](repeating: 0, count: 32)
    guard rpc_tls_key_digest(certificate, &digest) != 0 else { return nil }
    do { try self.init(digest: digest) } catch { return nil }
  }
}
