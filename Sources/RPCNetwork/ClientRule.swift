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
  /// The key that it must have proven, nil for none.
  package var key: PublicKey?
  /// The SHA-256 of the token that its requests carry, nil for none.
  package var token: TokenDigest?

  /// nil for a client that nothing tells from others, and for one whose address cannot be read: neither may call.
  package init?(_ client: Topology.Client) {
    block = client.block
    let hasCredential = client.key != nil || client.token != nil
    guard block != nil || client.host == nil && hasCredential else { return nil }
    name = client.name
    port = client.port
    key = client.key
    token = client.token
  }

  /// Whether its address alone is not enough: it is known by a key or a token too, of which one has to be shown.
  package var needsCredential: Bool { key != nil || token != nil }

  /// Whether a connection from this address and port, whose peer has proven `key` or sent a token, is this client's.
  package func matches(address: [UInt8], port: Int, key: PublicKey?, token: TokenDigest? = nil) -> Bool {
    let isShown = self.key != nil && self.key == key || self.token != nil && self.token == token
    return (isShown || !needsCredential) && matches(address: address, port: port)
  }

  /// Whether a connection from this address and port may be this client's, if it proves the right key.
  package func matches(address: [UInt8], port: Int) -> Bool {
    (self.port.map { Int($0) == port } ?? true) && (block?.contains(address) ?? true)
  }
}
