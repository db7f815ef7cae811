import RPCKeys
import RPCNetwork
import RPCWire
import Testing

@testable import RPCDeployment

@Suite("A topology as it travels")
struct TopologyEncodingTests {
  @Test("it comes back without services, in the order of the names, and has one digest in any order")
  func roundTrip() throws {
    var network = Samples.topology
    network.services = [Topology.Service(name: "text", providers: ["s1"], tenants: [])]
    let read = try Topology(decoding: network.encode())
    #expect(read == Samples.topology.members)
    #expect(read.servers.map(\.name) == ["s1", "s2"])
    #expect(read.services.isEmpty)
    network.servers.reverse()
    network.clients.reverse()
    #expect(network.digest == read.digest)
    #expect(Samples.topology(port: 9).digest != read.digest)
  }

  @Test("what servers and clients are known by in TLS travels, and changes the digest")
  func certificates() throws {
    let pin = try CertificatePin(digest: [UInt8](repeating: 1, count: 32))
    var secure = Samples.topology.members
    for index in secure.servers.indices { secure.servers[index].authorities = "-----BEGIN CERTIFICATE-----" }
    secure.servers[0].certificate = pin
    secure.clients[0].certificate = .name("batch.test")
    secure.clients[0].token = TokenDigest(bearer: String(repeating: "A", count: 43))
    let decoded = try Topology(decoding: secure.encode())
    #expect(decoded == secure && decoded.digest != Samples.topology.digest)
    #expect(decoded.servers[0].certificate == pin)
    #expect(decoded.servers.allSatisfy { $0.authorities != nil })
  }

  @Test("authorities beyond their limit are refused")
  func authorities() throws {
    func topology(_ bytes: Int) -> Topology {
      var topology = Samples.topology.members
      for index in topology.servers.indices {
        topology.servers[index].authorities = String(repeating: "a", count: bytes)
      }
      return topology
    }
    let limit = DeploymentLimits.authoritiesBytesMax
    #expect(try Topology(decoding: topology(limit).encode()) == topology(limit))
    #expect(throws: DeploymentError.self) { try Topology(decoding: topology(limit + 1).encode()) }
  }

  @Test("cut short anywhere, or with any one byte changed, it is refused or another one, never a crash")
  func corrupted() {
    let bytes = Samples.topology.encode()
    for index in bytes.indices {
      #expect(throws: DeploymentError.self) { try Topology(decoding: Array(bytes.prefix(index))) }
      for flip in [0x01, 0x80, 0xff] as [UInt8] {
        var changed = bytes
        changed[index] ^= flip
        if let other = try? Topology(decoding: changed) { #expect(other != Samples.topology.members) }
      }
    }
    #expect(throws: DeploymentError.self) { try Topology(decoding: bytes + [0]) }
  }

  static let invalid: [(String, Topology)] = [
    (
      "client 'c' has no valid address",
      Topology(servers: [], clients: [Topology.Client(name: "c", host: "nonsense")])
    ),
    ("server 's' has no address", Topology(servers: [Topology.Server(name: "s", host: "", port: 1)])),
    (
      "server 's' appears twice",
      Topology(servers: [1, 2].map { Topology.Server(name: "s", host: "h", port: $0) })
    ),
    ("not '/'", Topology(servers: [Topology.Server(name: "a/b", host: "h", port: 1)])),
  ]

  @Test("one that no checked file could have made is refused", arguments: invalid.indices)
  func validation(index: Int) {
    let (message, topology) = Self.invalid[index]
    #expect { try Topology(decoding: topology.encode()) } throws: { "\($0)".contains(message) }
  }

  @Test("a format of another release, an unknown key and another order are refused")
  func canonical() {
    let entries = Samples.topology.memberEntries
    func decode(_ entries: [Value.Entry]) throws -> Topology {
      try Topology(decoding: Value.map(entries).messagePack)
    }
    let version = Value.Entry("simplerpc_topology", 1)
    #expect { try decode([Value.Entry("simplerpc_topology", 2)] + entries) } throws: {
      "\($0)" == "the topology has format 2, this program reads 1: use programs of one release"
    }
    #expect { try decode([version] + entries + [Value.Entry("limit", 1)]) } throws: {
      "\($0)" == "topology has an unknown key 'limit'"
    }
    #expect(throws: DeploymentError.self) { try decode(entries + [version]) }
  }

  @Test("a key that is none is refused, a client's and a server's", arguments: ["client 'K'", "server 's1'"])
  func keys(owner: String) throws {
    let key = try PublicKey(parsing: Samples.key)
    let keyed =
      owner.hasPrefix("server")
      ? Topology(servers: [Topology.Server(name: "s1", host: "127.0.0.1", port: 8181, key: key)])
      : Topology(servers: [], clients: [Topology.Client(name: "K", key: key)])
    // Of the same length, so that only the key is wrong.
    let text = String(repeating: "x", count: Samples.key.utf8.count)
    let bytes = keyed.encode().replacing(Array(Samples.key.utf8), with: Array(text.utf8))
    #expect(bytes != keyed.encode())
    #expect { try Topology(decoding: bytes) } throws: {
      "\($0)" == "\(owner) has no valid key: '\(text.prefix(32))' is not a public key; write "
        + "ssh-ed25519 AAAA…, the line of the .pub file that ssh-keygen -t ed25519 makes"
    }
  }

  @Test("a bound is crossed one byte beyond it")
  func size() {
    let bytes = [UInt8](repeating: 0xc0, count: DeploymentLimits.topologyBytesMax + 1)
    #expect { try Topology(decoding: bytes) } throws: { ($0 as? DeploymentError)?.kind == .tooLarge }
    #expect { try Topology(decoding: Array(bytes.dropLast())) } throws: {
      ($0 as? DeploymentError)?.kind == .malformed
    }
  }
}
