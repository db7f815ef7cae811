package import RPCKeys
package import RPCNetwork
package import RPCWire

/// What a deployment gives one server: what it is to do, and who is who in its network.
package struct DeploymentContent: Hashable, Sendable {
  package let manifest: Manifest
  /// Servers and clients, in the order of their names.
  package let topology: Topology

  package init(manifest: Manifest, topology: Topology) {
    self.manifest = manifest
    self.topology = topology.members
  }

  /// Decodes and checks what came from elsewhere, each by itself and against the other.
  package init(manifest: [UInt8], topology: [UInt8]) throws(DeploymentError) {
    self.manifest = try Manifest(decoding: manifest)
    self.topology = try Topology(decoding: topology)
    try self.manifest.check(against: self.topology)
  }

  /// The same with what servers have proven to own.
  ///
  /// - Parameter keys: by the servers' names.
  package func with(proven keys: [UTF8Key: PublicKey]) -> DeploymentContent {
    var topology = topology
    for index in topology.servers.indices {
      topology.servers[index].proven = keys[UTF8Key(topology.servers[index].name)]
    }
    return DeploymentContent(manifest: manifest, topology: topology)
  }

  /// The topology with the manifest's services, as a client or a caller of procedures uses it.
  package var network: Topology {
    Topology(servers: topology.servers, clients: topology.clients, services: manifest.services)
  }
}

/// What a plan was made against: the digests in force, empty for none.
package struct DeploymentBase: Hashable, Sendable {
  package var manifest: String
  package var topology: String

  package init(manifest: String = "", topology: String = "") {
    self.manifest = manifest
    self.topology = topology
  }
}
