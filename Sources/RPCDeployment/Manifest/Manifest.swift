package import RPCNetwork
package import RPCProcedures
internal import RPCWire

/// What one server is told to do: the services of the network and the procedures this server provides. Sources are
/// named by their digest and travel apart, and so does the topology, which says where servers and clients are.
///
/// A manifest is always in canonical order (everything by name, procedures by their signature), so that equal
/// deployments have equal bytes and an equal digest, in whatever order the file lists them.
package struct Manifest: Hashable, Sendable {
  /// The name of the server that this manifest is for.
  package let server: String
  /// Every service of the network, so that a caller can be told where to find one that is not here.
  package let services: [Topology.Service]
  /// The procedures of the services that this server provides.
  package let procedures: [Procedure]

  package init(
    server: String, services: [Topology.Service] = [], procedures: [Procedure] = []
  ) {
    self.server = server
    self.services =
      services.map {
        Topology.Service(name: $0.name, providers: $0.providers.sorted(), tenants: $0.tenants.sorted())
      }.sorted { $0.name < $1.name }
    // The key is built once each: a comparison that spelled types would spell them n log n times.
    self.procedures = procedures.map { (Self.identity(of: $0.signature), $0) }.sorted { $0.0 < $1.0 }.map(\.1)
  }

  /// What tells two procedures apart: service, name and argument types.
  package static func identity(of signature: Signature) -> String {
    "\(signature.qualifiedName)(\(signature.parameterTypes.map(\.description).joined(separator: ", ")))"
  }

  /// The digests of the sources and the files of requirements that it needs, each once, in order.
  package var sourceDigests: [String] {
    Set(procedures.map(\.digest) + procedures.compactMap(\.confinement.provision.requirements)).sorted()
  }

  /// The names of the services that the server provides.
  package var providedServices: [String] {
    services.filter { $0.providers.contains { $0.hasSameUTF8(as: server) } }.map(\.name)
  }

  /// SHA-256 of the canonical encoding.
  package var digest: String { ContentDigest.hex(of: encode()) }
}
