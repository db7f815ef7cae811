public import RPCWire

extension Proof {
  /// The answer to a server's challenge, good for this connection and that server alone.
  ///
  /// - Parameters:
  ///   - server: the name under which the client knows the server.
  ///   - address: the IP address (4 or 16 bytes) and port that the client is connected to.
  public init(
    of key: PrivateKey, to challenge: [UInt8], server: String, address: (ip: [UInt8], port: Int)
  ) {
    self.init(
      key: key.publicKey.bytes, server: server, ip: address.ip, port: address.port, signature: [])
    signature = key.signature(of: statement(answering: challenge))
  }

  /// The key that was proven, or nil where the signature is not of this challenge.
  public func key(provenFor challenge: [UInt8]) -> PublicKey? {
    guard let key = try? PublicKey(bytes: key), key.verifies(signature, of: statement(answering: challenge))
    else { return nil }
    return key
  }
}
