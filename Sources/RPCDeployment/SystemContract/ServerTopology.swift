package import RPCWire

/// What a server tells a caller of its network: the answer of `system.topology`. A client that knows the address of one
/// server finds all others that it may use with it.
package struct ServerTopology: Hashable, Sendable {
  package struct Server: Hashable, Sendable {
    @ComparedByUTF8 package var name: String
    /// As init.yaml has it: an address or a host name.
    @ComparedByUTF8 package var host: String
    package var port: Int
    /// The key that it must prove, as text; nil where whichever it proves is taken.
    @ComparedByUTF8 package var key: String?
    /// The pin of its certificate, as text: it is spoken to in TLS.
    @ComparedByUTF8 package var certificate: String?

    package init(name: String, host: String, port: Int, key: String? = nil, certificate: String? = nil) {
      self.name = name
      self.host = host
      self.port = port
      self.key = key
      self.certificate = certificate
    }
  }

  package struct Service: Hashable, Sendable {
    @ComparedByUTF8 package var name: String
    /// Names of `servers`.
    @ComparedByUTF8 package var providers: [String]

    package init(name: String, providers: [String]) {
      self.name = name
      self.providers = providers
    }
  }

  /// The name of the server that answers, nil before the first deployment.
  @ComparedByUTF8 package var server: String?
  package var generation: Int
  /// Of the topology in force, nil before the first deployment.
  @ComparedByUTF8 package var topologyDigest: String?
  /// Certificates of authorities, as PEM, one of which vouches for the certificate of each server: they are spoken to in
  /// TLS. nil where there are none.
  @ComparedByUTF8 package var authorities: String?
  /// The one that answers, and those that provide a service of `services`.
  package var servers: [Server]
  /// Those that the caller may use.
  package var services: [Service]

  package init(
    server: String? = nil, generation: Int = 0, topologyDigest: String? = nil, authorities: String? = nil,
    servers: [Server] = [], services: [Service] = []
  ) {
    self.server = server
    self.generation = generation
    self.topologyDigest = topologyDigest
    self.authorities = authorities
    self.servers = servers
    self.services = services
  }
}

extension ServerTopology: SystemMap {
  package static let empty = ServerTopology()
  package static let fields: [SystemField<ServerTopology>] = [
    .init("server", \.server), .init("generation", \.generation), .init("topology_digest", \.topologyDigest),
    .init("ca", \.authorities), .init("servers", \.servers), .init("services", \.services),
  ]
}

extension ServerTopology.Server: SystemMap {
  package static let empty = ServerTopology.Server(name: "", host: "", port: 0)
  package static let fields: [SystemField<ServerTopology.Server>] = [
    .init("name", \.name), .init("host", \.host), .init("port", \.port), .init("key", \.key),
    .init("certificate", \.certificate),
  ]
}

extension ServerTopology.Service: SystemMap {
  package static let empty = ServerTopology.Service(name: "", providers: [])
  package static let fields: [SystemField<ServerTopology.Service>] = [
    .init("name", \.name), .init("providers", \.providers),
  ]
}
