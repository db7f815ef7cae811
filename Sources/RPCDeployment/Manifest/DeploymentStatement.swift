package import RPCKeys
import RPCNetwork
import RPCWire

/// Where a deployment comes from: the same on every server of the network.
package struct DeploymentOrigin: Hashable, Sendable {
  /// What the deployment is called on every server; see `DeploymentID`.
  package var id: String
  /// Raised with every deployment, above what any server has seen: the fence. A server takes none that is not above all
  /// that it has seen.
  package var serial: Int
  /// The network's name.
  package var network: String
  /// Whose signature it is.
  package var deployer: PublicKey
  /// Who that is and where it was made, in words: `user@host (process 7)`.
  package var who: String
  /// Milliseconds since 1970, by the deployer's clock.
  package var timeMilliseconds: Int
  /// Why, where somebody said it.
  package var message: String?
  /// The commit of the folder that the file stands in, where there is one.
  package var commit: String?
  /// The serial of the deployment whose content this one brings back.
  package var rollbackOf: Int?
  /// The servers of the network that were told to be left out.
  package var leftOut: [String]
  /// Whether it may be prepared and never put in force.
  package var isRehearsal: Bool

  package init(
    id: String, serial: Int, network: String = DeploymentOrigin.defaultNetwork, deployer: PublicKey,
    who: String, timeMilliseconds: Int, message: String? = nil, commit: String? = nil,
    rollbackOf: Int? = nil, leftOut: [String] = [], isRehearsal: Bool = false
  ) {
    self.id = id
    self.serial = serial
    self.network = network
    self.deployer = deployer
    self.who = who
    self.timeMilliseconds = timeMilliseconds
    self.message = message
    self.commit = commit
    self.rollbackOf = rollbackOf
    self.leftOut = leftOut
    self.isRehearsal = isRehearsal
  }

  /// What a network is called that its file does not name.
  package static let defaultNetwork = "default"
}

/// What a deployer signs for one server: that this server of this network is to have this manifest and this topology,
/// and which deployment that is.
package struct DeploymentStatement: Hashable, Sendable {
  /// The name of the server, or a pattern such as `web-*` for all that have such a name.
  package var server: String
  /// The key that the server has proven; nil for a pattern.
  package var serverKey: PublicKey?
  /// The manifest's digest.
  package var manifest: String
  /// The topology's digest.
  package var topology: String
  package var origin: DeploymentOrigin

  package init(
    server: String, serverKey: PublicKey?, manifest: String, topology: String, origin: DeploymentOrigin
  ) {
    self.server = server
    self.serverKey = serverKey
    self.manifest = manifest
    self.topology = topology
    self.origin = origin
  }

  /// Whether it is for all servers with such a name.
  package var isPattern: Bool { server.utf8.contains(UInt8(ascii: "*")) }
}

// MARK: The encoding

/// One MessagePack map, keys in this order, what is absent left out: section 17 of Docs/PROTOCOL.md.
extension DeploymentStatement {
  /// The version of the encoding, its first entry.
  static let formatVersion: Int64 = 1

  package func encode() -> [UInt8] {
    Manifest.entries(
      ("simplerpc_deployment", .int(Self.formatVersion)),
      ("id", .string(origin.id)),
      ("serial", .int(Int64(origin.serial))),
      ("network", .string(origin.network)),
      ("server", .string(server)),
      ("server_key", serverKey.map { .bytes($0.bytes) }),
      ("manifest", .string(manifest)),
      ("topology", .string(topology)),
      ("deployer", .bytes(origin.deployer.bytes)),
      ("who", .string(origin.who)),
      ("time_ms", .int(Int64(origin.timeMilliseconds))),
      ("message", origin.message.map(Value.string)),
      ("commit", origin.commit.map(Value.string)),
      ("rollback_of", origin.rollbackOf.map { .int(Int64($0)) }),
      ("left_out", origin.leftOut.isEmpty ? nil : .list(origin.leftOut.map(Value.string))),
      ("rehearsal", origin.isRehearsal ? .bool(true) : nil)
    ).messagePack
  }

  /// Decodes a statement that came from elsewhere. It trusts nothing: every field is checked, and the bytes are the
  /// canonical ones.
  package init(decoding bytes: [UInt8]) throws(DeploymentError) {
    var fields = try Fields(
      encoded: bytes, "deployment", version: Self.formatVersion, limit: DeploymentLimits.statementBytesMax)
    let id = try fields.string("id")
    guard DeploymentID.isValid(id) else {
      throw DeploymentError(
        .malformed, "deployment.id is not \(DeploymentID.digits) hexadecimal digits in lower case")
    }
    let serial = try fields.serial("serial")
    let network = try fields.string("network")
    if let problem = Names.problem(with: network) {
      throw DeploymentError(.malformed, "deployment.network is not a name: \(problem)")
    }
    server = try fields.string("server")
    if let problem = Names.problem(with: server.replacing("*", with: "_")) {
      throw DeploymentError(.malformed, "deployment.server is neither a name nor a pattern: \(problem)")
    }
    serverKey = try fields.publicKey("server_key")
    manifest = try fields.digest("manifest")
    topology = try fields.digest("topology")
    guard let deployer = try fields.publicKey("deployer") else {
      throw DeploymentError(.malformed, "deployment.deployer is missing")
    }
    let who = try fields.line("who", limit: DeploymentLimits.whoBytesMax) ?? ""
    let time = try fields.integer("time_ms")
    origin = DeploymentOrigin(
      id: id, serial: serial, network: network, deployer: deployer, who: who, timeMilliseconds: time)
    origin.message = try fields.line("message", limit: DeploymentLimits.messageBytesMax)
    origin.commit = try fields.line("commit", limit: DeploymentLimits.commitBytesMax)
    origin.rollbackOf = try fields.optionalSerial("rollback_of")
    origin.leftOut =
      try fields.optional("left_out", "a list of names") { value -> [String]? in
        guard let list = value.listValue, (1...DeploymentLimits.serversMax).contains(list.count) else {
          return nil
        }
        let names = list.compactMap(\.stringValue)
        return names.count == list.count && names.allSatisfy(Names.isValid) ? names : nil
      } ?? []
    origin.isRehearsal =
      try fields.optional("rehearsal", "true") { $0.boolValue == true ? true : nil } ?? false
    try fields.finish()
    guard (serverKey == nil) == isPattern else {
      throw DeploymentError(
        .malformed,
        isPattern
          ? "deployment.server_key stands beside the pattern '\(server)'" : "deployment.server_key is missing"
      )
    }
    guard encode() == bytes else {
      throw DeploymentError(.malformed, "the deployment is not in its canonical form")
    }
  }
}

extension Fields {
  fileprivate mutating func serial(_ key: String) throws(DeploymentError) -> Int {
    guard let serial = try optionalSerial(key) else {
      throw DeploymentError(.malformed, "\(place).\(key) is missing")
    }
    return serial
  }

  fileprivate mutating func optionalSerial(_ key: String) throws(DeploymentError) -> Int? {
    try optional(key, "a number from 1 to \(DeploymentLimits.serialMax)") { value in
      value.intValue.flatMap { Int(exactly: $0) }.flatMap {
        (1...DeploymentLimits.serialMax).contains($0) ? $0 : nil
      }
    }
  }

  fileprivate mutating func digest(_ key: String) throws(DeploymentError) -> String {
    try required(key, "a SHA-256 in lower-case hexadecimal") {
      $0.stringValue.flatMap { ContentDigest.isValid($0) ? $0 : nil }
    }
  }

  fileprivate mutating func publicKey(_ key: String) throws(DeploymentError) -> PublicKey? {
    guard let bytes = try optional(key, "bytes", \.bytesValue) else { return nil }
    do throws(KeyError) {
      return try PublicKey(bytes: bytes)
    } catch {
      throw DeploymentError(.malformed, "\(place).\(key): \(error)")
    }
  }

  /// A text that people are shown: no control characters but ends of lines.
  fileprivate mutating func line(_ key: String, limit: Int) throws(DeploymentError) -> String? {
    guard let text = try optional(key, "a string", \.stringValue) else { return nil }
    guard text.utf8.count <= limit else {
      throw DeploymentError(
        .tooLarge, "\(place).\(key) has \(text.utf8.count) bytes, the limit is \(limit)")
    }
    guard
      text.unicodeScalars.allSatisfy({ $0 == "\n" || $0.properties.generalCategory != .control })
    else { throw DeploymentError(.malformed, "\(place).\(key) has control characters") }
    return text
  }
}
