import RPCNetwork
import RPCProcedures
import RPCWire

extension ServerCatalogue {
  /// What a server with this manifest serves.
  package init(_ manifest: Manifest, generation: Int) {
    self.init(server: manifest.server, generation: generation, digest: manifest.digest)
    for service in manifest.services
    where service.providers.contains(where: { $0.hasSameUTF8(as: manifest.server) }) {
      services.append(
        Service(
          name: service.name, tenants: service.tenants, providers: service.providers,
          procedures: manifest.procedures.filter { $0.signature.service.hasSameUTF8(as: service.name) }))
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
