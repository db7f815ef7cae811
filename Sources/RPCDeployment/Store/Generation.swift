package import RPCNetwork

/// One complete deployment of a server, as it is on disk: never changed once it is there.
package struct Generation: Hashable, Sendable {
  /// Counts the deployments of this server; never used twice.
  package let serial: Int
  package let manifest: Manifest
  /// The manifest's digest.
  package let digest: String
  package let record: DeploymentRecord
}

/// The servers and clients that a server knows, as they are on disk: never changed once they are there.
package struct StoredTopology: Hashable, Sendable {
  /// Counts the topologies of this server; 0 for one that version 1.0 kept in its manifest.
  package let serial: Int
  /// Without services.
  package let topology: Topology
  package let digest: String
  package let record: DeploymentRecord
}
