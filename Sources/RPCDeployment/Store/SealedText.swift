internal import RPCKeys
internal import RPCWire

/// Lines that a server keeps with its own signature below them, so that it finds it when they were changed: the last two
/// are `accepted_by` with its key and `acceptance` with the signature of all before them.
enum SealedText {
  /// What the lines are about. A text that stands in for another one is found out.
  enum Kind: String {
    case generation, topology, fence
  }

  private static let keyLine = "accepted_by "
  private static let sealLine = "acceptance "

  /// - Parameter number: of the generation or topology; 0 where there is one text of its kind.
  static func seal(_ text: String, _ kind: Kind, number: Int, by key: PrivateKey) -> String {
    sealed(text, key.publicKey, key.sign(parts(text, kind, number), for: .acceptance))
  }

  private static func sealed(_ text: String, _ key: PublicKey, _ signature: [UInt8]) -> String {
    text + keyLine + "\(key)\n" + sealLine + Base64.encode(signature) + "\n"
  }

  /// The lines above the seal, checked; nil where there is no seal.
  ///
  /// - Throws: `damaged`, where the seal does not hold.
  static func open(
    _ text: String, _ kind: Kind, number: Int, of key: PublicKey
  ) throws(DeploymentError) -> String? {
    let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
    guard lines.count >= 3, lines[lines.count - 3].hasPrefix(keyLine) else {
      if lines.contains(where: { $0.hasPrefix(keyLine) || $0.hasPrefix(sealLine) }) { throw changed }
      return nil
    }
    let (owner, seal) = (lines[lines.count - 3], lines[lines.count - 2])
    let content = lines.dropLast(3).map { $0 + "\n" }.joined()
    // Written again it must be the same, byte by byte: there is one way to write it.
    guard seal.hasPrefix(sealLine), let signature = Base64.decode(seal.dropFirst(sealLine.count)),
      let accepted = try? PublicKey(parsing: String(owner.dropFirst(keyLine.count))),
      sealed(content, accepted, signature).hasSameUTF8(as: text)
    else { throw changed }
    guard accepted == key else {
      throw DeploymentError(
        .damaged,
        "it was accepted with another key than this server's: \(accepted.fingerprint), not \(key.fingerprint)"
      )
    }
    guard key.verifies(signature, of: parts(content, kind, number), for: .acceptance) else { throw changed }
    return content
  }

  private static func parts(_ text: String, _ kind: Kind, _ number: Int) -> [Value] {
    [.string(kind.rawValue), .int(Int64(number)), .string(text)]
  }

  private static let changed = DeploymentError(
    .damaged, "what this server signed when it accepted it was changed")
}
