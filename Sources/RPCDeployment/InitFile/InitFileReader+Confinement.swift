import RPCProcedures
import RPCWire

/// What a service says about the processes of its procedures.
extension InitFileReader {
  mutating func confinement(_ fields: [String: YamlNode], _ owner: String) -> Confinement {
    var confinement = Confinement()
    if let node = fields["isolation"] {
      confinement.isolation = node.text.flatMap { Isolation(rawValue: $0) }
      if confinement.isolation == nil {
        report(node.place, "'isolation' of \(owner) must be required, default or none, found \(node.kind)")
      }
    }
    confinement.network = fields["network"].map { networkAccess($0, owner) } ?? .none
    confinement.readable = fields["read"].map { paths($0, "read", of: owner) } ?? []
    confinement.writable = fields["write"].map { paths($0, "write", of: owner) } ?? []
    if let node = fields["workers"] {
      confinement.workers = node.text.flatMap { Int($0) }.flatMap {
        (1...Confinement.workersMax).contains($0) ? $0 : nil
      }
      if confinement.workers == nil {
        report(
          node.place,
          "'workers' of \(owner) must be a number from 1 to \(Confinement.workersMax), found \(node.kind)")
      }
    }
    confinement.provision = provision(fields, owner)
    let count = confinement.readable.count + confinement.writable.count
    if count > Confinement.pathsMax, let node = fields["write"] ?? fields["read"] {
      report(
        node.place,
        "\(owner) names \(count) paths in 'read' and 'write', the limit is \(Confinement.pathsMax)")
    }
    return confinement
  }

  /// `true`, `false`, or a list of ports.
  private mutating func networkAccess(_ node: YamlNode, _ owner: String) -> NetworkAccess {
    guard case .list(let items) = node.content else { return flag(node, "network") == true ? .all : .none }
    let ports = items.compactMap { port($0) }
    guard ports.count == items.count else { return .none }
    if let access = NetworkAccess(ports: ports) { return access }
    report(
      node.place,
      "'network' of \(owner) must be true, false or a list of 1 to \(NetworkAccess.portsMax) ports, each once"
    )
    return .none
  }

  private mutating func paths(_ node: YamlNode, _ what: String, of owner: String) -> [String] {
    guard case .list(let items) = node.content else {
      report(node.place, "'\(what)' of \(owner) must be a list of paths, found \(node.kind)")
      return []
    }
    return items.compactMap { item in
      if let path = item.text, Confinement.isPath(path) { return path }
      report(
        item.place,
        "'\(what)' of \(owner) must hold whole paths on the servers such as /srv/data, found \(item.kind)")
      return nil
    }
  }
}
