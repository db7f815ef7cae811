import Glibc
import RPCClient
import RPCProcedures
import RPCWire

@testable import RPCDeployment

/// Small manifests and directories that the tests share.
enum Samples {
  static let sourceA = Array("def concat(n, s):\n    return f'{n}{s}'\n".utf8)
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
      servers: [
        Topology.Server(name: "s2", host: "::1", port: 8282),
        Topology.Server(name: "s1", host: "127.0.0.1", port: 8181),
      ],
      clients: [
        Manifest.Client(name: "c1", host: "127.0.0.1", port: 6000),
        Manifest.Client(name: "net", host: "10.0.0.0/8"), Manifest.Client(name: "k", key: "ed25519:abc"),
      ],
      services: [
        Topology.Service(name: "text", providers: ["s2", "s1"], tenants: tenants),
        Topology.Service(name: "far", providers: ["s2"], tenants: []),
      ],
      procedures: procedures)
  }

  static var sources: [String: [UInt8]] {
    [ContentDigest.hex(of: sourceA): sourceA, ContentDigest.hex(of: sourceB): sourceB]
  }
}

/// A directory that goes away with its owner.
final class TemporaryDirectory {
  let path: String

  init() {
    // In memory where there is such a place: the tests sync a thousand times.
    let base = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp"
    var template = Array("\(base)/simplerpc-test-XXXXXX".utf8CString)
    guard mkdtemp(&template) != nil else { preconditionFailure("no temporary directory") }
    path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  deinit {
    try? Disk().remove(path)
  }

  func write(_ text: String, to name: String) {
    let parts = name.split(separator: "/")
    var directory = path
    for part in parts.dropLast() {
      directory += "/" + part
      mkdir(directory, 0o755)
    }
    try? Disk().write(Array(text.utf8), to: "\(path)/\(name)", sync: false)
  }
}
