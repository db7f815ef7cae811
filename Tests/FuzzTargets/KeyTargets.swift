import RPCKeys

enum KeyTargets {
  /// A public key that is read can be written and read again; a private one has such a public key.
  static func key(_ bytes: [UInt8]) throws(BrokenPromise) {
    let text = String(decoding: bytes, as: UTF8.self)
    if let key = try? PublicKey(parsing: text) { try isWritten(key) }
    if let key = try? PrivateKey(parsing: text) { try isWritten(key.publicKey) }
  }

  private static func isWritten(_ key: PublicKey) throws(BrokenPromise) {
    let again = try? PublicKey(parsing: key.description)
    try promise(again == key, "\(key) came back as \(again.map { "\($0)" } ?? "nothing")")
  }
}
