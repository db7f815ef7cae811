import RPCKeys
import RPCNetwork
import RPCProcedures

extension InitFileReader {
  mutating func readNetwork(_ node: YamlNode) {
    guard let network = section(node, "'network'", .network) else { return }
    if let node = network["name"], let name = text(node, "'name'") {
      if let problem = Names.problem(with: name) {
        report(node.place, "invalid name '\(name.prefix(64))' of the network: \(problem)")
      } else {
        networkName = name
      }
    }
    if let node = network["ca"] { authorities = certificates(node) }
    if let node = network["servers"], !node.isNull {
      let list = entries(node, "'servers'", of: .server)
      var seen: [String: Place] = [:]
      for entry in list where declareOnce(entry.name, entry.key.place, "server", in: &seen) {
        readServer(entry.name, entry.value, at: entry.key.place)
      }
      bound(list.count, "servers", DeploymentLimits.serversMax, at: node.place)
      if case .list(let items) = node.content, items.isEmpty {
        report(node.place, "'servers' is empty: declare at least one")
      }
    } else {
      report(
        network["servers"]?.place ?? node.place, "'servers' is missing in 'network': declare at least one")
    }
    if let node = network["clients"], !node.isNull {
      let list = entries(node, "'clients'", of: .client)
      var seen: [String: Place] = [:]
      for entry in list where declareOnce(entry.name, entry.key.place, "client", in: &seen) {
        readClient(entry.name, entry.value, at: entry.key.place)
      }
      bound(list.count, "clients", DeploymentLimits.clientsMax, at: node.place)
    }
    checkAddresses()
  }

  mutating func bound(_ count: Int, _ what: String, _ limit: Int, at place: Place) {
    if count > limit { report(place, "\(count) \(what), the limit is \(limit)") }
  }

  private mutating func readServer(_ name: String, _ node: YamlNode, at place: Place) {
    var fields = section(node, "server '\(name)'", .server)
    let hostNode = required(&fields, "ip", "the address or host name of server '\(name)'", at: place)
    let portNode = required(&fields, "port", "the port of server '\(name)'", at: place)
    let host = hostNode.flatMap { self.serverHost($0) }
    let port = portNode.flatMap { self.port($0) }
    let key = fields?["key"].flatMap { publicKey($0) }
    let pin = fields?["certificate"].flatMap { node in
      credential(node, "certificate") { text throws(KeyError) in try CertificatePin(parsing: text) }
    }
    // A server whose address is wrong is declared all the same: what refers to it is not wrong.
    servers.append(
      DeclaredServer(
        server: Topology.Server(
          name: name, host: host ?? "", port: port ?? 0, key: key, certificate: pin, authorities: authorities),
        place: place))
  }

  private mutating func serverHost(_ node: YamlNode) -> String? {
    guard let host = text(node, "'ip'") else { return nil }
    if IPBlock.address(host) != nil || HostName.isValid(host) { return host }
    var hint = ""
    if host.hasPrefix("["), host.hasSuffix("]") {
      hint = ": write an IPv6 address without brackets"
    } else if let zone = Self.zone(of: host) {
      hint = zone
    } else if IPBlock(parsing: host) != nil {
      hint = ": a server has a single address, not a network"
    } else if host.split(separator: ":").count == 2 {
      hint = ": the port has a key of its own, 'port'"
    } else if HostName.looksNumeric(host) {
      hint = ": an IPv4 address is four decimal numbers from 0 to 255"
    }
    report(node.place, "'\(host.prefix(64))' is neither an IP address nor a host name\(hint)")
    return nil
  }

  /// What is wrong with `fe80::1%eth0`.
  private static func zone(of host: String) -> String? {
    guard let percent = host.utf8.firstIndex(of: UInt8(ascii: "%")),
      IPBlock.address(String(host[..<percent])) != nil
    else { return nil }
    return ": it has a zone, '\(host[percent...].prefix(40))', which means something on one machine only; "
      + "write an address that needs none"
  }

  private mutating func readClient(_ name: String, _ node: YamlNode, at place: Place) {
    var client = Topology.Client(name: name)
    defer { clients.append(DeclaredClient(client: client, place: place)) }
    guard let fields = section(node, "client '\(name)'", .client) else { return }
    if let node = fields["ip"], let host = text(node, "'ip'") {
      if IPBlock(parsing: host) != nil {
        client.host = host
      } else {
        reportBlock(host, at: node.place)
      }
    }
    if let node = fields["port"] { client.port = port(node) }
    if let node = fields["key"] { client.key = publicKey(node) }
    if let node = fields["certificate"] {
      client.certificate = credential(node, "certificate") { text throws(KeyError) in
        try ClientCertificate(parsing: text)
      }
    }
    if let node = fields["token"] {
      client.token = credential(node, "token") { text throws(KeyError) in try TokenDigest(parsing: text) }
    }
    if KeyTable.client.atLeastOne.allSatisfy({ fields[$0] == nil }) {
      report(
        place,
        "client '\(name)' needs an 'ip' that it calls from, or a 'key', a 'certificate' or a 'token' that it shows"
      )
    }
  }

  /// What is compared with what a peer shows.
  private mutating func credential<Value>(
    _ node: YamlNode, _ key: String, _ parse: (String) throws(KeyError) -> Value
  ) -> Value? {
    guard let text = text(node, "'\(key)'") else { return nil }
    do throws(KeyError) {
      return try parse(text)
    } catch {
      report(node.place, "'\(key)': \(error)")
      return nil
    }
  }

  /// The text of the network's authorities: it travels to the servers, whose procedures call each other.
  private mutating func certificates(_ node: YamlNode) -> String? {
    guard let path = text(node, "'ca'") else { return nil }
    let full = path.hasPrefix("/") ? path : directory + path
    switch SourceFile.readBytes(full, limit: DeploymentLimits.authoritiesBytesMax) {
    case .failure(let reason): report(node.place, "cannot read 'ca' '\(path.prefix(200))': \(reason.message)")
    case .success(let bytes):
      if let text = String(validating: bytes, as: UTF8.self), text.contains("-----BEGIN CERTIFICATE-----") {
        return text
      }
      report(
        node.place, "'ca' '\(path.prefix(200))' holds no certificate in PEM (-----BEGIN CERTIFICATE-----)")
    }
    return nil
  }

  /// A public key, in the one way that servers compare.
  private mutating func publicKey(_ node: YamlNode) -> PublicKey? {
    guard let text = text(node, "'key'") else { return nil }
    do throws(KeyError) {
      return try PublicKey(parsing: text)
    } catch {
      report(node.place, "'key': \(error)")
      return nil
    }
  }

  /// Says what is wrong with a client's address.
  private mutating func reportBlock(_ host: String, at place: Place) {
    let shown = "'\(host.prefix(64))'"
    if let network = IPBlock(enclosing: host) {
      report(
        place, "\(shown) is not a network: the bits behind the first \(network.prefixLength) must be zero",
        suggestion: network.description)
    } else if let zone = Self.zone(of: host) {
      report(place, "\(shown) is not an IP address\(zone)")
    } else if HostName.isLocalhost(host) {
      report(place, "\(shown) is not an IP address: write 127.0.0.1 or ::1")
    } else if HostName.isValid(host) {
      report(
        place, "\(shown) is not an IP address: a client is known by its address, not by a host name")
    } else {
      report(place, "\(shown) is neither an IP address nor a network such as 10.0.0.0/8")
    }
  }

  /// Two servers cannot listen on one address, and two clients with one address, or one key, could not be told
  /// apart.
  private mutating func checkAddresses() {
    var servers: [String: DeclaredServer] = [:]
    for declared in self.servers where !declared.server.host.isEmpty && declared.server.port != 0 {
      let host =
        IPBlock(parsing: declared.server.host)?.description ?? HostName.canonical(declared.server.host)
      if let first = servers.updateValue(declared, forKey: "\(host) \(declared.server.port)") {
        report(
          declared.place,
          "server '\(declared.server.name)' has the address of server '\(first.server.name)' at line "
            + "\(first.place.line): \(declared.server.host) port \(declared.server.port)")
      }
    }
    var keys: [PublicKey: DeclaredServer] = [:]
    for declared in self.servers {
      guard let key = declared.server.key, let first = keys.updateValue(declared, forKey: key) else {
        continue
      }
      report(
        declared.place,
        "server '\(declared.server.name)' has the key of server '\(first.server.name)' at line "
          + "\(first.place.line): each server makes its own at its first start")
    }
    var clients: [String: DeclaredClient] = [:]
    var clientKeys: [PublicKey: DeclaredClient] = [:]
    var tokens: [TokenDigest: DeclaredClient] = [:]
    for declared in self.clients {
      if let token = declared.client.token, let first = tokens.updateValue(declared, forKey: token) {
        report(
          declared.place,
          "client '\(declared.client.name)' has the token of client '\(first.client.name)' at line "
            + "\(first.place.line)")
      }
      if let key = declared.client.key {
        if let first = clientKeys.updateValue(declared, forKey: key) {
          report(
            declared.place,
            "client '\(declared.client.name)' has the key of client '\(first.client.name)' at line "
              + "\(first.place.line)")
        }
        continue
      }
      guard !declared.client.hasCredential, let block = declared.client.block else { continue }
      let port = declared.client.port.map { "port \($0)" } ?? "any port"
      if let first = clients.updateValue(declared, forKey: "\(block) \(port)") {
        report(
          declared.place,
          "client '\(declared.client.name)' has the address of client '\(first.client.name)' at line "
            + "\(first.place.line): \(block) \(port)")
      }
    }
  }
}
