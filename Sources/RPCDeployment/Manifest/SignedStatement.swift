package import RPCKeys
import RPCWire

/// A statement with its deployer's signature, as it travels and is kept.
package struct SignedStatement: Hashable, Sendable {
  package let statement: DeploymentStatement
  /// As they were signed.
  package let bytes: [UInt8]
  /// An Ed25519 signature, 64 bytes.
  package let signature: [UInt8]

  package var origin: DeploymentOrigin { statement.origin }

  /// Signs a statement of this key's owner.
  package init(_ statement: DeploymentStatement, by key: PrivateKey) {
    precondition(statement.origin.deployer == key.publicKey, "the statement names another deployer")
    self.statement = statement
    bytes = statement.encode()
    signature = key.sign([.bytes(bytes)], for: .deployment)
  }

  /// Checks what came from elsewhere: its form, and that who it names has signed it. Whether that one may deploy is not
  /// decided here.
  package init(bytes: [UInt8], signature: [UInt8]) throws(DeploymentError) {
    statement = try DeploymentStatement(decoding: bytes)
    guard statement.origin.deployer.verifies(signature, of: [.bytes(bytes)], for: .deployment) else {
      throw DeploymentError(
        .untrusted,
        "the deployment is not signed by the key that it names, \(statement.origin.deployer.fingerprint)")
    }
    self.bytes = bytes
    self.signature = signature
  }
}
