package import RPCProcedures

/// What a server loads before it says that it is prepared, and at its start.
package struct LoadingWork: Sendable {
  package let manifest: Manifest
  /// By digest.
  package let sources: [String: [UInt8]]

  package init(manifest: Manifest, sources: [String: [UInt8]]) {
    self.manifest = manifest
    self.sources = sources
  }

  /// The versions of Python that its services name.
  package var pythonVersions: Set<String> {
    Set(manifest.procedures.filter { $0.language == .python }.compactMap(\.confinement.provision.python))
  }

  /// The packages that its services need, each once.
  package var requirements: [PythonRequirements] {
    var found: [PythonRequirements] = []
    for procedure in manifest.procedures where procedure.language == .python {
      let provision = procedure.confinement.provision
      guard let digest = provision.requirements, let content = sources[digest] else { continue }
      if found.contains(where: { $0.digest == digest && $0.python == provision.python }) { continue }
      found.append(
        PythonRequirements(
          digest: digest, content: content, python: provision.python, service: procedure.signature.service,
          confinement: procedure.confinement))
    }
    return found
  }

  /// One unit per procedure; procedures of one file share its bytes.
  package var units: [SourceUnit] {
    manifest.procedures.map { SourceUnit(procedure: $0, source: sources[$0.digest] ?? []) }
  }
}
