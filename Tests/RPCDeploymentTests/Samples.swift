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

  /// Who deploys, and whom servers of tests are.
  static let deployer = signer(1)
  static let serverKey = signer(2)

  /// The same key for the same number.
  static func signer(_ number: UInt8) -> PrivateKey {
    guard let key = try? PrivateKey(seed: [UInt8](repeating: number, count: 32)) else {
      preconditionFailure("32 bytes are a key")
    }
    return key
  }

  static func origin(_ serial: Int, by key: PrivateKey = deployer) -> DeploymentOrigin {
    DeploymentOrigin(
      id: "0123456789ab", serial: serial, deployer: key.publicKey, who: "tester",
      timeMilliseconds: 1_700_000_000_000)
  }

  static func signed(
    _ content: DeploymentContent, _ origin: DeploymentOrigin, for server: PublicKey = serverKey.publicKey,
    by key: PrivateKey = deployer
  ) -> SignedStatement {
    SignedStatement(
      DeploymentStatement(
        server: content.manifest.server, serverKey: server, manifest: content.manifest.digest,
        topology: content.topology.digest, origin: origin), by: key)
  }

  static func request(
    _ id: String, _ content: DeploymentContent, serial: Int, base: DeploymentBase = DeploymentBase(),
    force: Bool = false, who: String = "tester", for server: PublicKey = serverKey.publicKey
  ) -> DeployBegin {
    DeployBegin(
      transaction: id, who: who, base: base, force: force, content: content,
      signed: signed(content, origin(serial), for: server))
  }

  static let deployment = DeploymentStatus.Deployment(origin(4), isTrusted: true)

  static var sources: [String: [UInt8]] {
    [ContentDigest.hex(of: sourceA): sourceA, ContentDigest.hex(of: sourceB): sourceB]
  }
}
