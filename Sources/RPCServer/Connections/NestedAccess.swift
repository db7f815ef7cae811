internal import RPCKeys
internal import RPCNetwork
internal import RPCProcedures
internal import RPCWire

/// What the procedures of a server may call here: the rights of a connection on which that server has proven its key.
/// Where the server is gives its procedures no right.
internal struct NestedAccess {
  /// Its names, as a rule one.
  let servers: [String]

  /// nil where the key is not a server's.
  ///
  /// - Parameters:
  ///   - own: this server's, which calls itself too.
  ///   - ownName: nil before the first deployment.
  init?(_ key: PublicKey, in catalogue: Catalogue, own: PublicKey, ownName: String?) {
    var servers = catalogue.servers.filter { $0.key == key }.map(\.name)
    if key == own, let ownName, !servers.contains(where: { $0.hasSameUTF8(as: ownName) }) {
      servers.append(ownName)
    }
    guard !servers.isEmpty else { return nil }
    self.servers = servers
  }

  /// Whether procedures of `caller` may call those of the service at `position`.
  func allows(service position: Int, to caller: String, in catalogue: Catalogue) -> Bool {
    let service = catalogue.services[position]
    guard let tenants = service.tenants else { return true }
    guard provides(caller, in: catalogue) else { return false }
    return service.name.hasSameUTF8(as: caller) || tenants.contains(UTF8Key(Tenant.service(caller).text))
      || servers.contains { tenants.contains(UTF8Key($0)) }
  }

  private func provides(_ service: String, in catalogue: Catalogue) -> Bool {
    catalogue.services.contains { known in
      known.name.hasSameUTF8(as: service)
        && servers.contains { server in known.providers.contains { $0.hasSameUTF8(as: server) } }
    }
  }

  /// Why they may not, and what would allow it.
  func refusal(of service: String, to caller: String, in catalogue: Catalogue) -> String {
    let place = servers.map { "'\($0)'" }.joined(separator: ", ")
    guard provides(caller, in: catalogue) else {
      return
        "the server \(place) does not provide the service '\(caller)', in whose name it calls the service "
        + "'\(service)'"
    }
    return "the service '\(caller)' on the server \(place) is not a tenant of the service '\(service)': add "
      + "'service \(caller)' to the tenants of '\(service)' in init.yaml, or '\(servers[0])' for every service there"
  }
}
