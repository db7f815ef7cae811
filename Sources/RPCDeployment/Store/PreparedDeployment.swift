/// What a deployment has on the disk once it is prepared, and will put in force: a generation, a topology or both.
struct PreparedDeployment: Equatable {
  struct NewGeneration: Equatable {
    var manifest: Manifest
    var record: DeploymentRecord
  }

  /// Nil where the topology alone is new.
  var generation: NewGeneration?
  /// Nil where it is the one in force.
  var topology: StoredTopology?
}
