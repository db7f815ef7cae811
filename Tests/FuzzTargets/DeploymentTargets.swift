import RPCDeployment
import RPCProcedures

enum DeploymentTargets {
  /// A manifest that is taken is in its one canonical form.
  static func manifest(_ bytes: [UInt8]) throws(BrokenPromise) {
    guard let manifest = try? Manifest(decoding: bytes) else { return }
    try promise(manifest.encode() == bytes, "a manifest in another than its canonical form")
  }

  /// A file without errors makes manifests that servers take; a file with errors names them.
  static func initFile(_ bytes: [UInt8]) throws(BrokenPromise) {
    let result = Result { () throws(InitFileErrors) in
      try InitFile.parse(bytes, path: "init.yaml", checkingSources: false)
    }
    switch result {
    case .failure(let errors): try promise(!errors.diagnostics.isEmpty, "a file with errors that has none")
    case .success(let file):
      for (server, manifest) in file.manifests() { try isTaken(manifest, by: server) }
    }
  }

  private static func isTaken(_ manifest: Manifest, by server: String) throws(BrokenPromise) {
    var procedures = manifest.procedures
    for index in procedures.indices where procedures[index].digest.isEmpty {
      // The sources were not looked for, so they have no digests.
      procedures[index].digest = String(repeating: "0", count: 64)
    }
    let manifest = Manifest(
      server: manifest.server, servers: manifest.servers, clients: manifest.clients,
      services: manifest.services, procedures: procedures)
    let again = Result { () throws(DeploymentError) in try Manifest(decoding: manifest.encode()) }
    switch again {
    case .success(let again):
      try promise(again == manifest, "the manifest of \(server) changed on its way")
    case .failure(let error): throw BrokenPromise("the manifest of \(server) is refused: \(error)")
    }
  }
}
