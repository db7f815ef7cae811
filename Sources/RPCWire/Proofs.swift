/// Who is at the two ends of a connection: the server signs the client's nonce in its HELLO, the client the
/// server's challenge in a PROOF. The signatures themselves are made and checked by RPCKeys.

/// What both sides may list in their HELLO.
package enum Feature {
  /// The client has a key: the server challenges it, and takes a PROOF.
  package static let proof = "proof"
}

/// What a proof holds for beside the bytes that were asked for: one server's key, and the channel that the
/// connection runs in. A proof that somebody passes on to another server, or through another channel, fails.
package struct ProofScope: Hashable, Sendable {
  /// The server's Ed25519 public key, 32 bytes.
  package var serverKey: [UInt8]
  /// What is unique to the channel: inside TLS the 32 bytes of `tls-exporter` (RFC 9266), else none.
  package var channel: [UInt8]

  package init(serverKey: [UInt8], channel: [UInt8] = []) {
    self.serverKey = serverKey
    self.channel = channel
  }
}

/// A server's key, and its signature of the client's nonce: two entries of its HELLO.
package struct ServerProof: Hashable, Sendable {
  /// An Ed25519 public key, 32 bytes.
  package var key: [UInt8]
  /// An Ed25519 signature over `statement`, 64 bytes.
  package var signature: [UInt8]

  package init(key: [UInt8], signature: [UInt8]) {
    self.key = key
    self.signature = signature
  }

  /// Nil where a HELLO has neither.
  init?(key: Value?, signature: Value?) throws(WireError) {
    if key == nil, signature == nil { return nil }
    guard let key = key?.bytesValue, key.count == 32, let signature = signature?.bytesValue,
      signature.count == 64
    else {
      throw .malformedFrame("a HELLO has a server_key of 32 bytes and a server_signature of 64, or neither")
    }
    self.init(key: key, signature: signature)
  }

  /// What is signed: a MessagePack list, `["SimpleRPC server 1", nonce, server key, channel]`.
  package static func statement(answering nonce: [UInt8], in scope: ProofScope) -> [UInt8] {
    Value.list([
      .string("SimpleRPC server 1"), .bytes(nonce), .bytes(scope.serverKey), .bytes(scope.channel),
    ]).messagePack
  }
}

/// PROOF: the client signs the server's challenge with its key: `[key, server, ip, port, signature]`. The server
/// answers with an empty one. The server's key, name and address and the channel are signed too, so that a server
/// cannot pass the proof on to another one and be taken for the client there.
package struct Proof: Hashable, Sendable {
  /// An Ed25519 public key, 32 bytes.
  package var key: [UInt8]
  /// The name under which the client knows the server.
  package var server: String
  /// The address that the client is connected to, 4 or 16 bytes.
  package var ip: [UInt8]
  package var port: Int
  /// An Ed25519 signature over `statement`, 64 bytes.
  package var signature: [UInt8]

  package init(key: [UInt8], server: String, ip: [UInt8], port: Int, signature: [UInt8]) {
    self.key = key
    self.server = server
    self.ip = ip
    self.port = port
    self.signature = signature
  }

  /// What is signed: a MessagePack list,
  /// `["SimpleRPC proof 2", challenge, key, server, ip, port, server key, channel]`.
  package func statement(answering challenge: [UInt8], in scope: ProofScope) -> [UInt8] {
    Value.list([
      .string("SimpleRPC proof 2"), .bytes(challenge), .bytes(key), .string(server), .bytes(ip),
      .int(Int64(port)), .bytes(scope.serverKey), .bytes(scope.channel),
    ]).messagePack
  }

  package func encode(to queue: inout ByteQueue) {
    let mark = queue.beginFrame(.proof, callID: 0)
    queue.appendListHeader(count: 5)
    queue.appendBinary(key)
    queue.appendString(server)
    queue.appendBinary(ip)
    queue.appendInt(Int64(port))
    queue.appendBinary(signature)
    queue.endFrame(mark)
  }

  package init(payload: RawSpan) throws(WireError) {
    var reader = MessagePackReader(payload)
    let value = try Value.decode(from: &reader)
    try reader.finish()
    guard let parts = value.listValue, parts.count == 5, let key = parts[0].bytesValue, key.count == 32,
      let server = parts[1].stringValue, let ip = parts[2].bytesValue, ip.count == 4 || ip.count == 16,
      let port = parts[3].intValue, (0...65_535).contains(port), let signature = parts[4].bytesValue,
      signature.count == 64
    else { throw .malformedFrame("a PROOF is a list of key, server, ip, port and signature") }
    try WireError.checkName(server)
    self.init(key: key, server: server, ip: ip, port: Int(port), signature: signature)
  }
}
