import Glibc
import RPCKeys
import RPCNetwork
import RPCProcedures
import RPCWire
import TestSupport

@testable import RPCDeployment

/// Small manifests and directories that the tests share.
enum Samples {
  static let sourceA = Array("def concat(n, s):\n    return f'{n}{s}'\n".utf8)
  static let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPdoDxE+kC0uIN1/g3AB/ulW1xCbdog5nd++toDtBl5c"
  static let sourceB = Array("function add(a, b) return a + b end\n".utf8)

  static func procedure(
    _ service: String, _ name: String, _ types: [ValueType] = [.int], source: [UInt8] = sourceA
  ) -> Procedure {
    Procedure(
      signature: Signature(
        service: service, name: name, parameters: types.map { Parameter($0) }, returns: [.string]),
      language: .python, digest: ContentDigest.hex(of: source), sourceName: "\(name).py")
  }

  static func manifest(
    _ procedures: [Procedure] = [procedure("text", "concat"), procedure("text", "add", source: sourceB)],
    server: String = "s1", tenants: [String] = ["c1"]
  ) -> Manifest {
    Manifest(
      server: server,
      services: [
        Topology.Service(name: "text", providers: ["s2", "s1"], tenants: tenants),
        Topology.Service(name: "far", providers: ["s2"], tenants: []),
      ],
      procedures: procedures)
  }

  static let topology = Topology(
    servers: [
      Topology.Server(name: "s2", host: "::1", port: 8282),
      Topology.Server(name: "s1", host: "127.0.0.1", port: 8181),
    ],
    clients: [
      Topology.Client(name: "c1", host: "127.0.0.1", port: 6000),
      Topology.Client(name: "net", host: "10.0.0.0/8"),
      Topology.Client(name: "K", key: try? PublicKey(parsing: Samples.key)),
    ])

  /// The same with other addresses.
  static func topology(port: UInt16) -> Topology {
    var moved = topology
    moved.servers[0].port = port
    return moved
  }

  static func content(_ manifest: Manifest = manifest(), topology: Topology = topology) -> DeploymentContent {
    DeploymentContent(manifest: manifest, topology: topology)
  }

  static var sources: [String: [UInt8]] {
    [ContentDigest.hex(of: sourceA): sourceA, ContentDigest.hex(of: sourceB): sourceB]
  }
}
