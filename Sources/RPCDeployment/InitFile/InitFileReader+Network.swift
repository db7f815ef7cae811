import RPCClient
import RPCKeys
import RPCProcedures

extension InitFileReader {
  mutating func readNetwork(_ node: YamlNode) {
    guard let network = section(node, "'network'", keys: [["servers"], ["clients"]]) else { return }
    if let node = network["servers"], !node.isNull {
      let list = entries(node, "'servers'", known: ["ip", "host", "port", "key"])
      var seen: [String: Place] = [:]
      for entry in list where isNew(entry.name, entry.key.place, "server", in: &seen) {
        readServer(entry.name, entry.value, at: entry.key.place)
      }
      bound(list.count, "servers", DeploymentLimits.serversMax, at: node.place)
      if case .list(let items) = node.content, items.isEmpty {
        report(node.place, "'servers' is empty: declare one at least")
      }
    } else {
      report(network["servers"]?.place ?? node.place, "'network' needs 'servers': declare one at least")
    }
    if let node = network["clients"], !node.isNull {
      let list = entries(node, "'clients'", known: ["ip", "port", "key"])
      var seen: [String: Place] = [:]
      for entry in list where isNew(entry.name, entry.key.place, "client", in: &seen) {
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
    var fields = section(node, "server '\(name)'", keys: [["ip", "host"], ["port"], ["key"]])
    let hostNode = required(&fields, "ip", "the address or host name of server '\(name)'", at: place)
    let portNode = required(&fields, "port", "the port of server '\(name)'", at: place)
    let host = hostNode.flatMap { self.serverHost($0) }
    let port = portNode.flatMap { self.port($0) }
    let key = fields?["key"].flatMap { publicKey($0) }
    // A server whose address is wrong is declared all the same: what refers to it is not wrong.
    servers.append(
      DeclaredServer(
        server: Topology.Server(name: name, host: host ?? "", port: port ?? 0, key: key), place: place))
  }

  private mutating func serverHost(_ node: YamlNode) -> String? {
    guard let host = text(node, "'ip'") else { return nil }
    if IPBlock.address(host) != nil || Self.isHostName(host) { return host }
    var hint = ""
    if host.hasPrefix("["), host.hasSuffix("]") {
      hint = ": write an IPv6 address without brackets"
    } else if IPBlock(parsing: host) != nil {
      hint = ": a server has a single address, not a network"
    } else if host.split(separator: ":").count == 2 {
      hint = ": the port has a key of its own"
    }
    report(node.place, "'\(host.prefix(64))' is neither an IP address nor a host name\(hint)")
    return nil
  }

  /// Labels of letters, digits and hyphens. Digits and dots alone are a mistyped address, not a name.
  static func isHostName(_ text: String) -> Bool {
    guard (1...253).contains(text.utf8.count) else { return false }
    if text.utf8.allSatisfy({ (0x30...0x39).contains($0) || $0 == UInt8(ascii: ".") }) { return false }
    return text.split(separator: ".", omittingEmptySubsequences: false).allSatisfy { label in
      (1...63).contains(label.utf8.count) && label.first != "-" && label.last != "-"
        && label.unicodeScalars.allSatisfy { scalar in
          switch scalar {
          case "a"..."z", "A"..."Z", "0"..."9", "-", "_": true
          default: false
          }
        }
    }
  }

  private mutating func readClient(_ name: String, _ node: YamlNode, at place: Place) {
    var client = Manifest.Client(name: name)
    defer { clients.append(DeclaredClient(client: client, place: place)) }
    guard let fields = section(node, "client '\(name)'", keys: [["ip", "host"], ["port"], ["key"]]) else {
      return
    }
    if let node = fields["ip"], let host = text(node, "'ip'") {
      if IPBlock(parsing: host) != nil {
        client.host = host
      } else {
        report(node.place, "'\(host.prefix(64))' is no IP address\(Self.blockHint(host))")
      }
    }
    if let node = fields["port"] { client.port = port(node) }
    if let node = fields["key"] {
      client.key = publicKey(node)?.description
    } else if fields["ip"] == nil {
      report(place, "client '\(name)' needs an 'ip' that it calls from, or a 'key' that it proves")
    }
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

  private static func blockHint(_ host: String) -> String {
    let parts = host.split(separator: "/", maxSplits: 1)
    if parts.count == 2, let address = IPBlock.address(String(parts[0])), let length = Int(parts[1]),
      (0...address.count * 8).contains(length)
    {
      return ": bits behind the prefix of \(length) must be zero"
    }
    if host == "localhost" { return ": write 127.0.0.1 or ::1" }
    if isHostName(host) { return " or network: a client is known by its address, not by a host name" }
    return " or network such as 10.0.0.0/8"
  }

  /// Two servers cannot listen on one address, and of two clients with one address, or one key, nobody could tell
  /// which is calling.
  private mutating func checkAddresses() {
    var servers: [String: DeclaredServer] = [:]
    for declared in self.servers where !declared.server.host.isEmpty && declared.server.port != 0 {
      let host = IPBlock(parsing: declared.server.host)?.description ?? declared.server.host.lowercased()
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
    for declared in self.clients {
      if let key = declared.client.key {
        if let first = clients.updateValue(declared, forKey: key) {
          report(
            declared.place,
            "client '\(declared.client.name)' has the key of client '\(first.client.name)' at line "
              + "\(first.place.line)")
        }
        continue
      }
      guard let block = declared.client.block else { continue }
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
