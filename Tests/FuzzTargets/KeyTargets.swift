import RPCKeys

enum KeyTargets {
  /// A public key that is read can be written and read again; a private one has such a public key.
  static func key(_ bytes: [UInt8]) throws(BrokenPromise) {
    let text = String(decoding: bytes, as: UTF8.self)
    if let key = try? PublicKey(parsing: text) { try isWritten(key) }
    if let key = try? PrivateKey(parsing: text) { try isWritten(key.publicKey) }
    if let pin = try? CertificatePin(parsing: text) {
      try promise((try? CertificatePin(parsing: pin.description)) == pin, "\(pin) came back as another")
    }
    if let known = try? ClientCertificate(parsing: text) {
      try promise(
        (try? ClientCertificate(parsing: known.description)) == known, "\(known) came back as another")
    }
    if let token = TokenDigest(bearer: text) {
      try promise((try? TokenDigest(parsing: token.description)) == token, "\(token) came back as another")
    }
  }

  private static func isWritten(_ key: PublicKey) throws(BrokenPromise) {
    let again = try? PublicKey(parsing: key.description)
    try promise(again == key, "\(key) came back as \(again.map { "\($0)" } ?? "nothing")")
  }
}
