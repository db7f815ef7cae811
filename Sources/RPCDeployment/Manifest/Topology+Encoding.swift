internal import RPCKeys
package import RPCNetwork
internal import RPCWire

/// The form in which a topology travels and is kept: one MessagePack map of the servers and the clients, each in the
/// order of their names. Services travel in the manifest, which says what a server does; a topology says who is who.
extension Topology {
  /// The version of the encoding, its first entry.
  static let formatVersion: Int64 = 1

  /// The servers and clients, in the order of their names.
  package var members: Topology {
    Topology(servers: servers.sorted { $0.name < $1.name }, clients: clients.sorted { $0.name < $1.name })
  }

  package func encode() -> [UInt8] { value.messagePack }

  /// SHA-256 of the encoding.
  package var digest: String { ContentDigest.hex(of: encode()) }

  var value: Value {
    .map([Value.Entry("simplerpc_topology", .int(Self.formatVersion))] + memberEntries)
  }

  var memberEntries: [Value.Entry] {
    let members = members
    let authorities = members.servers.lazy.compactMap(\.authorities).first
    return (authorities.map { [Value.Entry("ca", .string($0))] } ?? []) + [
      Value.Entry("servers", .list(members.servers.map(Self.value))),
      Value.Entry("clients", .list(members.clients.map(Self.value))),
    ]
  }

  private static func value(_ server: Topology.Server) -> Value {
    Manifest.entries(
      ("name", .string(server.name)),
      ("host", .string(server.host)),
      ("port", .int(Int64(server.port))),
      ("key", server.key.map { .string($0.description) }),
      ("proven", server.proven.map { .string($0.description) }),
      ("certificate", server.certificate.map { .string($0.description) }))
  }

  private static func value(_ client: Topology.Client) -> Value {
    Manifest.entries(
      ("name", .string(client.name)),
      ("host", client.host.map(Value.string)),
      ("port", client.port.map { .int(Int64($0)) }),
      ("key", client.key.map { .string($0.description) }),
      ("certificate", client.certificate.map { .string($0.description) }),
      ("token", client.token.map { .string($0.description) }))
  }

  // MARK: Reading

  /// Decodes a topology that came from elsewhere. It trusts nothing: every field is checked, and the bytes are the
  /// canonical ones.
  package init(decoding bytes: [UInt8]) throws(DeploymentError) {
    var fields = try Fields(
      encoded: bytes, "topology", version: Self.formatVersion, limit: DeploymentLimits.topologyBytesMax)
    self = try Self.members(&fields)
    try fields.finish()
    guard encode() == bytes else {
      throw DeploymentError(.malformed, "the topology is not in its canonical form")
    }
  }

  /// The servers and clients of a map, checked.
  static func members(_ fields: inout Fields) throws(DeploymentError) -> Topology {
    let authorities = try fields.optional("ca", "a string", \.stringValue)
    guard authorities?.utf8.count ?? 0 <= DeploymentLimits.authoritiesBytesMax else {
      throw DeploymentError(
        .tooLarge,
        "the topology's 'ca' has \(authorities?.utf8.count ?? 0) bytes, the limit is "
          + "\(DeploymentLimits.authoritiesBytesMax)")
    }
    var servers = try fields.list("servers", limit: DeploymentLimits.serversMax, server)
    for index in servers.indices { servers[index].authorities = authorities }
    let topology = Topology(
      servers: servers,
      clients: try fields.list("clients", limit: DeploymentLimits.clientsMax, client))
    try topology.validate()
    return topology
  }

  private static func server(
    _ value: Value, _ place: String
  ) throws(DeploymentError) -> Topology.Server {
    var fields = try Fields(value, at: place)
    let name = try fields.string("name")
    let host = try fields.string("host")
    guard let port = try fields.port("port") else {
      throw DeploymentError(.malformed, "\(place).port is missing")
    }
    let owner = "server '\(name.prefix(64))'"
    let key = try key(&fields, of: owner)
    let proven = try credential(&fields, "proven", of: owner) { text throws(KeyError) in
      try PublicKey(parsing: text)
    }
    let pin = try credential(&fields, "certificate", of: owner) { text throws(KeyError) in
      try CertificatePin(parsing: text)
    }
    try fields.finish()
    var server = Topology.Server(name: name, host: host, port: port, key: key, certificate: pin)
    server.proven = proven
    return server
  }

  private static func client(_ value: Value, _ place: String) throws(DeploymentError) -> Topology.Client {
    var fields = try Fields(value, at: place)
    let name = try fields.string("name")
    let owner = "client '\(name.prefix(64))'"
    let client = Topology.Client(
      name: name,
      host: try fields.optional("host", "a string", \.stringValue),
      port: try fields.port("port"),
      key: try key(&fields, of: owner),
      certificate: try credential(&fields, "certificate", of: owner) { text throws(KeyError) in
        try ClientCertificate(parsing: text)
      },
      token: try credential(&fields, "token", of: owner) { text throws(KeyError) in
        try TokenDigest(parsing: text)
      })
    try fields.finish()
    return client
  }

  private static func key(
    _ fields: inout Fields, of owner: String
  ) throws(DeploymentError) -> PublicKey? {
    try credential(&fields, "key", of: owner) { text throws(KeyError) in try PublicKey(parsing: text) }
  }

  private static func credential<Credential>(
    _ fields: inout Fields, _ field: String, of owner: String,
    _ parse: (String) throws(KeyError) -> Credential
  ) throws(DeploymentError) -> Credential? {
    guard let text = try fields.optional(field, "a string", \.stringValue) else { return nil }
    do throws(KeyError) {
      return try parse(text)
    } catch {
      throw DeploymentError(.malformed, "\(owner) has no valid \(field): \(error)")
    }
  }

  /// Everything that a topology made from a checked file has by construction and one from elsewhere may lack.
  func validate() throws(DeploymentError) {
    _ = try Manifest.unique("server", servers.map(\.name))
    _ = try Manifest.unique("client", clients.map(\.name))
    for server in servers where server.host.isEmpty || server.host.utf8.contains(0) {
      throw DeploymentError(.malformed, "server '\(server.name)' has no address")
    }
    for client in clients where client.host != nil && client.block == nil {
      throw DeploymentError(.malformed, "client '\(client.name)' has no valid address")
    }
  }
}
