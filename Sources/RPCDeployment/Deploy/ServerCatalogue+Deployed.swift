import RPCNetwork
import RPCProcedures
import RPCWire

extension ServerCatalogue {
  /// What a server with this content serves.
  package init(_ content: DeploymentContent, generation: Int) {
    let manifest = content.manifest
    self.init(
      server: manifest.server, generation: generation, digest: manifest.digest,
      topologyDigest: content.topology.digest)
    services = Self.services(of: manifest)
  }

  static func services(of manifest: Manifest) -> [Service] {
    manifest.services
      .filter { service in service.providers.contains { $0.hasSameUTF8(as: manifest.server) } }
      .map { service in
        Service(
          name: service.name, tenants: service.tenants, providers: service.providers,
          procedures: manifest.procedures.filter { $0.signature.service.hasSameUTF8(as: service.name) })
      }
  }

  /// The services that were deployed to it, without closures of the program: the actual side of a plan.
  package var deployedServices: [Service] {
    services.compactMap { service in
      guard !service.name.hasSameUTF8(as: SystemContract.service) else { return nil }
      var deployed = service
      deployed.procedures.removeAll { $0.language == .closure }
      // A service whose procedures are all closures belongs to the program, not to a deployment.
      return deployed.procedures.isEmpty && !service.procedures.isEmpty ? nil : deployed
    }
  }
}
