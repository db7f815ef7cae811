package import RPCWire

extension Proof {
  /// The answer to a server's challenge, good for this connection and that server alone.
  ///
  /// - Parameters:
  ///   - server: the name under which the client knows the server.
  ///   - address: the IP address (4 or 16 bytes) and port that the client is connected to.
  ///   - scope: the server's key, which must have been checked, and the channel.
  package init(
    of key: PrivateKey, to challenge: [UInt8], server: String, address: (ip: [UInt8], port: Int),
    in scope: ProofScope
  ) {
    self.init(
      key: key.publicKey.bytes, server: server, ip: address.ip, port: address.port, signature: [])
    signature = key.signature(of: statement(answering: challenge, in: scope))
  }

  /// The key that was proven.
  ///
  /// - Throws: `KeyError` where the key is none that may be used, or the signature is not of this challenge and scope.
  package func key(provenFor challenge: [UInt8], in scope: ProofScope) throws(KeyError) -> PublicKey {
    let key = try PublicKey(bytes: key)
    guard key.verifies(signature, of: statement(answering: challenge, in: scope)) else {
      throw KeyError("its signature is not of this connection and this server's key")
    }
    return key
  }
}

extension ServerProof {
  /// A server's answer to a client's nonce.
  package init(of key: PrivateKey, to nonce: [UInt8], channel: [UInt8] = []) {
    let scope = ProofScope(serverKey: key.publicKey.bytes, channel: channel)
    self.init(
      key: scope.serverKey, signature: key.signature(of: Self.statement(answering: nonce, in: scope)))
  }

  /// The server's key, which it has proven to own.
  ///
  /// - Throws: `KeyError` where the key is none that may be used, or the signature is not of this nonce and channel.
  package func key(provenFor nonce: [UInt8], channel: [UInt8] = []) throws(KeyError) -> PublicKey {
    let key = try PublicKey(bytes: key)
    let scope = ProofScope(serverKey: key.bytes, channel: channel)
    guard key.verifies(signature, of: Self.statement(answering: nonce, in: scope)) else {
      throw KeyError("its signature is not of this connection")
    }
    return key
  }
}

/// Bytes that nobody can foresee.
package enum RandomBytes {
  /// What a side of a connection sends for the other one to sign: 32 bytes, never the same twice.
  package static func challenge() -> [UInt8] {
    var random = SystemRandomNumberGenerator()
    var bytes: [UInt8] = []
    bytes.reserveCapacity(Hello.challengeBytes)
    while bytes.count < Hello.challengeBytes {
      let word: UInt64 = random.next()
      for shift in stride(from: 0, to: 64, by: 8) { bytes.append(UInt8(truncatingIfNeeded: word >> shift)) }
    }
    return bytes
  }
}
