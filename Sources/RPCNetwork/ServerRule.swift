package import RPCKeys
package import RPCWire

/// How the calls of a server's procedures are known: by the key that the server proves.
package struct ServerRule: Hashable, Sendable {
  @ComparedByUTF8 package var name: String
  package var key: PublicKey

  /// nil for a server whose key nobody knows yet: calls of its procedures are refused.
  package init?(_ server: Topology.Server) {
    guard let key = server.key ?? server.proven else { return nil }
    name = server.name
    self.key = key
  }
}
