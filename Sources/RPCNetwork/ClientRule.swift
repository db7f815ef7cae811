package import RPCKeys
package import RPCWire

/// What access goes by: a client of `network.clients` with its addresses read, so that matching a caller parses
/// nothing.
package struct ClientRule: Hashable, Sendable {
  @ComparedByUTF8 package var name: String
  /// The addresses that it calls from, nil for any.
  package var block: IPBlock?
  /// The registered source port, nil for any.
  package var port: UInt16?
  /// What it must show, any one of them where there are several: the key that it proves, be it by PROOF or by a
  /// certificate of that key, the certificate, the token. It needs none where all are nil.
  package var key: PublicKey?
  package var certificate: ClientCertificate?
  package var token: TokenDigest?

  /// nil for a client that nothing tells from others, and for one whose address cannot be read: neither may call.
  package init?(_ client: Topology.Client) {
    block = client.block
    guard block != nil || client.host == nil && client.hasCredential else { return nil }
    name = client.name
    port = client.port
    key = client.key
    certificate = client.certificate
    token = client.token
  }

  /// Whether its address is not enough.
  package var needsCredential: Bool { key != nil || certificate != nil || token != nil }

  /// Whether a connection from this address and port, whose peer has shown these, is this client's.
  package func matches(address: [UInt8], port: Int, _ shown: Credentials) -> Bool {
    matches(shown) && matches(address: address, port: port)
  }

  private func matches(_ shown: Credentials) -> Bool {
    guard needsCredential else { return true }
    if let key, key == shown.key || key == shown.certificateKey { return true }
    if let token, token == shown.token { return true }
    return switch certificate {
    case .pin(let pin): pin == shown.certificate
    case .name(let name): shown.names.contains { $0.hasSameUTF8(as: name) }
    case nil: false
    }
  }

  /// Whether a connection from this address and port may be this client's, if it proves the right key.
  package func matches(address: [UInt8], port: Int) -> Bool {
    (self.port.map { Int($0) == port } ?? true) && (block?.contains(address) ?? true)
  }
}
