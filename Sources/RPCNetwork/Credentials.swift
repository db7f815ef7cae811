package import RPCKeys

/// What a peer has shown of itself beside its address.
package struct Credentials: Hashable, Sendable {
  /// The key of its PROOF.
  package var key: PublicKey?
  /// The certificate of its TLS handshake, by its key, and that key itself where it is an Ed25519 key.
  package var certificate: CertificatePin?
  package var certificateKey: PublicKey?
  /// The names of that certificate, where an authority that the server trusts vouches for them.
  package var names: [String] = []
  /// The bearer token of its request.
  package var token: TokenDigest?

  package init(key: PublicKey? = nil) { self.key = key }
}
