public import RPCKeys
package import RPCTLS

/// The certificate that a client shows to servers that ask for one, inside TLS, and its private key.
public struct OwnCertificate: Hashable, Sendable {
  package let identity: TLSIdentity

  /// Reads files of PEM.
  ///
  /// - Parameters:
  ///   - certificate: with those that lead to its authority behind it, where it has one.
  ///   - key: its private key, which not everybody may read.
  /// - Throws: `KeyError` with the file and what is wrong with it.
  public init(certificate: String, key: String) throws(KeyError) {
    identity = try TLSIdentity(certificate: certificate, key: key)
  }

  /// What `certificate:` of a client in init.yaml says of it.
  public var pin: CertificatePin { identity.pin }

  /// Its key, where that is an Ed25519 key: servers know its owner by it as if it were proven.
  public var key: PublicKey? { identity.key }

  /// The private half of that key, which signs what its owner deploys.
  package var signingKey: PrivateKey? { identity.signingKey }
}
