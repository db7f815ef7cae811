import RPCClient
import RPCProcedures

extension InitFileReader {
  mutating func readServices(_ node: YamlNode) {
    let list = entries(node, "'service'", known: ["providers", "tenants", "rpcs"])
    bound(list.count, "services", DeploymentLimits.servicesMax, at: node.place)
    var seen: [String: Place] = [:]
    for entry in list where isNew(entry.name, entry.key.place, "service", in: &seen) {
      if entry.name == Names.reservedService {
        report(
          entry.key.place, "'\(Names.reservedService)' is the service that every server has built in")
        continue
      }
      readService(entry.name, entry.value, at: entry.key.place)
    }
  }

  private mutating func readService(_ name: String, _ node: YamlNode, at place: Place) {
    let owner = "service '\(name)'"
    var fields = section(node, owner, keys: [["providers"], ["tenants"], ["rpcs"]])
    func read(_ reader: inout Self, _ key: String, _ what: String) -> [Reference] {
      let node = reader.required(&fields, key, "\(what) of \(owner), [] for none", at: place)
      return node.map { reader.references($0, key, of: owner) } ?? []
    }
    services.append(
      DeclaredService(
        name: name, place: place,
        providers: read(&self, "providers", "the servers"),
        tenants: read(&self, "tenants", "the clients that may call it:"),
        procedures: read(&self, "rpcs", "the procedures")))
  }

  /// What can be checked once everything is read: that every name leads somewhere.
  mutating func checkReferences() {
    let serverNames = Set(servers.map(\.server.name))
    let clientNames = Set(clients.map(\.client.name))
    for service in services {
      // Where no server could be read at all, that is the one error.
      for provider in service.providers where !serverNames.isEmpty && !serverNames.contains(provider.name) {
        let hint = clientNames.contains(provider.name) ? "; it is a client" : ""
        report(
          provider.place,
          "service '\(service.name)' names provider '\(provider.name.prefix(64))', which network.servers does "
            + "not declare\(hint)",
          suggestion: Spelling.nearest(to: provider.name, in: serverNames.sorted()))
      }
      for tenant in service.tenants where !serverNames.isEmpty && !clientNames.contains(tenant.name) {
        let hint = serverNames.contains(tenant.name) ? "; it is a server" : ""
        report(
          tenant.place,
          "service '\(service.name)' names tenant '\(tenant.name.prefix(64))', which network.clients does not "
            + "declare\(hint)",
          suggestion: Spelling.nearest(to: tenant.name, in: clientNames.sorted()))
      }
    }
    checkProcedures()
  }

  private mutating func checkProcedures() {
    let byName = Dictionary(services.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
    let listed = byName.mapValues { Set($0.procedures.map(\.name)) }
    var reported = Set<Place>()
    for item in procedures {
      let name = item.procedure.signature.name
      guard let service = byName[item.service.name] else {
        // Once per service, not once per procedure.
        guard reported.insert(item.service.place).inserted else { continue }
        report(
          item.service.place,
          "procedures are declared for service '\(item.service.name)', which 'service' does not declare",
          suggestion: Spelling.nearest(to: item.service.name, in: byName.keys.sorted()))
        continue
      }
      if listed[service.name]?.contains(name) != true {
        report(
          item.place,
          "service '\(service.name)' does not list procedure '\(name)' in its 'rpcs' at line \(service.place.line)",
          suggestion: Spelling.nearest(to: name, in: service.procedures.map(\.name)))
      }
    }
    for service in services {
      let names = declaredNames[service.name] ?? []
      for reference in service.procedures where !names.contains(reference.name) {
        report(
          reference.place,
          "service '\(service.name)' lists procedure '\(reference.name.prefix(64))', which 'rpc' does not declare",
          suggestion: Spelling.nearest(to: reference.name, in: names.sorted()))
      }
    }
  }
}
