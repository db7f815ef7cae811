public import RPCProcedures

/// What a server loads before it says that it is prepared, and at its start.
public struct LoadingWork: Sendable {
  public let manifest: Manifest
  /// By digest.
  public let sources: [String: [UInt8]]

  public init(manifest: Manifest, sources: [String: [UInt8]]) {
    self.manifest = manifest
    self.sources = sources
  }

  /// One unit per procedure; procedures of one file share its bytes.
  public var units: [SourceUnit] {
    manifest.procedures.map { SourceUnit(procedure: $0, source: sources[$0.digest] ?? []) }
  }
}
