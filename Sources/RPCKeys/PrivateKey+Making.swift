internal import Crypto
internal import RPCWire

extension PrivateKey {
  /// A new key, which nobody has.
  package static func random() -> PrivateKey {
    PrivateKey(Curve25519.Signing.PrivateKey())
  }

  /// The text of a key file as `ssh-keygen -t ed25519 -N ''` writes it, so that its tools read it.
  ///
  /// - Parameter comment: says whose it is; shown by `ssh-keygen -l`.
  func openSSHText(comment: String) -> String {
    var secret = KeyWriter()
    // Twice the same number, by which a wrong passphrase is noticed where there is one.
    let check = UInt32.random(in: .min ... .max)
    secret.append(check)
    secret.append(check)
    secret.append(string: Array(PublicKey.algorithm.utf8))
    secret.append(string: publicKey.bytes)
    secret.append(string: seed + publicKey.bytes)
    secret.append(string: Array(comment.utf8))
    // To the block size of the cipher that is not there: 8.
    var padding: UInt8 = 1
    while secret.bytes.count % 8 != 0 {
      secret.bytes.append(padding)
      padding += 1
    }
    var whole = KeyWriter()
    whole.bytes = Self.magic
    whole.append(string: Array("none".utf8))
    whole.append(string: Array("none".utf8))
    whole.append(string: [])
    whole.append(1)
    whole.append(string: publicKey.blob)
    whole.append(string: secret.bytes)
    var text = Self.header + "\n"
    var rest = Base64.encode(whole.bytes)[...]
    while !rest.isEmpty {
      text += rest.prefix(70) + "\n"
      rest = rest.dropFirst(70)
    }
    return text + Self.footer + "\n"
  }
}

/// Writes what `KeyReader` reads.
private struct KeyWriter {
  var bytes: [UInt8] = []

  mutating func append(_ number: UInt32) {
    for shift in [24, 16, 8, 0] { bytes.append(UInt8(truncatingIfNeeded: number >> UInt32(shift))) }
  }

  mutating func append(string: [UInt8]) {
    append(UInt32(string.count))
    bytes += string
  }
}
