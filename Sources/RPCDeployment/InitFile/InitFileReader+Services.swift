import RPCNetwork
import RPCProcedures
import RPCWire

extension InitFileReader {
  mutating func readServices(_ node: YamlNode) {
    let list = entries(node, "'service'", of: .service)
    bound(list.count, "services", DeploymentLimits.servicesMax, at: node.place)
    var seen: [String: Place] = [:]
    for entry in list where declareOnce(entry.name, entry.key.place, "service", in: &seen) {
      if entry.name == Names.reservedService {
        report(
          entry.key.place, "'\(Names.reservedService)' is reserved: every server has this service built in")
        continue
      }
      readService(entry.name, entry.value, at: entry.key.place)
    }
  }

  private mutating func readService(_ name: String, _ node: YamlNode, at place: Place) {
    let owner = "service '\(name)'"
    var fields = section(node, owner, .service)
    func read(_ reader: inout Self, _ key: String, _ what: String) -> [Reference] {
      let node = reader.required(&fields, key, "\(what) \(owner); [] for none", at: place)
      return node.map { reader.references($0, key, of: owner) } ?? []
    }
    services.append(
      DeclaredService(
        name: name, place: place,
        providers: read(&self, "providers", "the servers that provide"),
        tenants: read(&self, "tenants", "those that may call"),
        procedures: read(&self, "rpcs", "the procedures of"),
        confinement: confinement(fields ?? [:], owner)))
  }

  /// What can be checked once everything is read: that every name leads somewhere.
  mutating func checkReferences() {
    let serverNames = Set(servers.map { UTF8Key($0.server.name) })
    let clientNames = Set(clients.map { UTF8Key($0.client.name) })
    for service in services {
      // Where no server could be read at all, that is the one error.
      for provider in service.providers where !serverNames.isEmpty && !serverNames.contains(provider.key) {
        let hint = clientNames.contains(provider.key) ? "; it is a client" : ""
        report(
          provider.place,
          "service '\(service.name)' names provider '\(provider.name.prefix(64))', which network.servers does "
            + "not declare\(hint)",
          suggestion: Spelling.nearest(to: provider.name, in: serverNames.sorted().map(\.text)))
      }
      for tenant in service.tenants where !serverNames.isEmpty {
        check(tenant, of: service.name, servers: serverNames, clients: clientNames)
      }
    }
    checkProcedures()
  }

  private mutating func check(
    _ tenant: Reference, of service: String, servers: Set<UTF8Key>, clients: Set<UTF8Key>
  ) {
    let names = services.map(\.name)
    if case .service(let name) = Tenant(tenant.name) {
      guard !names.contains(where: { $0.hasSameUTF8(as: name) }) else { return }
      return report(
        tenant.place,
        "service '\(service)' names tenant 'service \(name.prefix(64))', which 'service' does not declare",
        suggestion: Spelling.nearest(to: name, in: names).map { Tenant.service($0).text })
    }
    let isClient = clients.contains(tenant.key)
    let isServer = servers.contains(tenant.key)
    if isClient && isServer {
      return report(
        tenant.place,
        "service '\(service)' names tenant '\(tenant.name.prefix(64))', which is a client and a server: rename "
          + "one of them")
    }
    guard !isClient && !isServer else { return }
    let hint =
      names.contains { $0.hasSameUTF8(as: tenant.name) }
      ? "; write 'service \(tenant.name)' for the procedures of that service" : ""
    report(
      tenant.place,
      "service '\(service)' names tenant '\(tenant.name.prefix(64))', which is neither a client nor a server of "
        + "'network'\(hint)",
      suggestion: Spelling.nearest(to: tenant.name, in: clients.union(servers).sorted().map(\.text)))
  }

  private mutating func checkProcedures() {
    let byName = Dictionary(services.map { (UTF8Key($0.name), $0) }, uniquingKeysWith: { first, _ in first })
    let listed = byName.mapValues { Set($0.procedures.map(\.key)) }
    var reported = Set<Place>()
    for item in procedures {
      let name = item.procedure.signature.name
      guard let service = byName[item.service.key] else {
        // Once per service, not once per procedure.
        guard reported.insert(item.service.place).inserted else { continue }
        report(
          item.service.place,
          "procedures are declared for service '\(item.service.name)', which 'service' does not declare",
          suggestion: Spelling.nearest(to: item.service.name, in: byName.keys.sorted().map(\.text)))
        continue
      }
      if listed[item.service.key]?.contains(UTF8Key(name)) != true {
        report(
          item.place,
          "service '\(service.name)' does not list procedure '\(name)' in its 'rpcs' at line \(service.place.line)",
          suggestion: Spelling.nearest(to: name, in: service.procedures.map(\.name)))
      }
    }
    for service in services {
      let names = declaredNames[UTF8Key(service.name)] ?? []
      for reference in service.procedures where !names.contains(reference.key) {
        report(
          reference.place,
          "service '\(service.name)' lists procedure '\(reference.name.prefix(64))', which 'rpc' does not declare",
          suggestion: Spelling.nearest(to: reference.name, in: names.sorted().map(\.text)))
      }
    }
  }
}
