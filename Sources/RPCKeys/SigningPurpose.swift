package import RPCWire

/// What is signed besides the proofs of a connection. A signature holds for its purpose alone: its text begins what is
/// signed, which is one MessagePack list.
package enum SigningPurpose: String, Sendable {
  /// A deployer signs what one server is to be: `[purpose, statement]`.
  case deployment = "SimpleRPC deployment 1"
  /// A server signs what it has accepted: `[purpose, kind, number, text]`.
  case acceptance = "SimpleRPC acceptance 1"

  func list(_ parts: [Value]) -> [UInt8] { Value.list([.string(rawValue)] + parts).messagePack }
}

extension PrivateKey {
  /// - Returns: 64 bytes, the same for the same parts.
  package func sign(_ parts: [Value], for purpose: SigningPurpose) -> [UInt8] {
    signature(of: purpose.list(parts))
  }
}

extension PublicKey {
  /// Whether the owner of this key signed these parts for that purpose.
  package func verifies(_ signature: [UInt8], of parts: [Value], for purpose: SigningPurpose) -> Bool {
    verifies(signature, of: purpose.list(parts))
  }
}
