package import RPCNetwork
import RPCWire

/// What a deployment is called on every server: the first digits of a digest of what the whole network's procedures and
/// topology say. The same content has the same id, whenever and by whomever it is deployed.
package enum DeploymentID {
  /// Hexadecimal digits.
  package static let digits = 12

  /// - Parameters:
  ///   - network: the network's name.
  ///   - topology: the servers and clients, as the file has them: what servers have proven does not count.
  ///   - manifests: of every server of the network.
  package static func of(network: String, topology: Topology, manifests: some Sequence<Manifest>) -> String {
    var declared = topology
    for index in declared.servers.indices { declared.servers[index].proven = nil }
    return of(
      network: network, topology: declared.digest, manifests: manifests.map { ($0.server, $0.digest) })
  }

  /// - Parameters:
  ///   - topology: its digest.
  ///   - manifests: their digests, with the servers' names.
  static func of(network: String, topology: String, manifests: [(server: String, digest: String)]) -> String {
    let servers = manifests.sorted { UTF8Key($0.server) < UTF8Key($1.server) }
    let content = Value.list([
      .string("SimpleRPC deployment id 1"), .string(network), .string(topology),
      .list(servers.map { .list([.string($0.server), .string($0.digest)]) }),
    ])
    return String(ContentDigest.hex(of: content.messagePack).prefix(digits))
  }

  static func isValid(_ text: String) -> Bool {
    text.utf8.count == digits
      && text.utf8.allSatisfy { byte in
        (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
          || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains(byte)
      }
  }
}
