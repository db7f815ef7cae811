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

  /// One unit per procedure; procedures of one file share its bytes.
  package var units: [SourceUnit] {
    manifest.procedures.map { SourceUnit(procedure: $0, source: sources[$0.digest] ?? []) }
  }
}
