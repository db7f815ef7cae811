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
    var bytes = [UInt8](repeating: 0, count: PublicKey.byteCount)
    if rpc_tls_ed25519_key(certificate, &bytes) != 0 { key = try? PublicKey(bytes: bytes) }
    guard isVerified else { return }
    withUnsafeMutablePointer(to: &names) { names in
      rpc_tls_names(certificate, names) { names, text, count in
        guard let names, let text, count <= TLSPeer.nameBytesMax else { return }
        let bytes = UnsafeRawBufferPointer(start: text, count: count)
        guard !bytes.contains(0), let name = String(validating: bytes, as: UTF8.self) else { return }
        let list = names.assumingMemoryBound(to: [String].self)
        if list.pointee.count < TLSPeer.namesMax { list.pointee.append(name) }
      }
    }
  }

  /// The names of one certificate that are looked at, and the bytes of one.
  package static let namesMax = 100
  package static let nameBytesMax = 255
}

extension CertificatePin {
  /// The pin of an `X509`.
  internal init?(of certificate: OpaquePointer) {
    var digest = [UInt8](repeating: 0, count: 32)
    guard rpc_tls_key_digest(certificate, &digest) != 0 else { return nil }
    do { try self.init(digest: digest) } catch { return nil }
  }
}
