/// Every bound of deploying, in one place. An error names the bound that was crossed, the actual size and the limit.
package enum DeploymentLimits {
  // MARK: What is read

  /// Bytes of an init.yaml: 4 MiB.
  package static let initFileBytesMax = 4 * 1024 * 1024
  /// From one look at an init.yaml that is followed to the next: 1 s, in milliseconds.
  package static let fileIntervalMilliseconds = 1000
  /// Bytes of the file that the network's `ca` names: 64 KiB.
  package static let authoritiesBytesMax = 64 * 1024
  /// Nodes of an init.yaml with its aliases written out.
  package static let initFileNodesMax = 1_000_000
  /// How deep the lists and maps of an init.yaml may nest; the format itself needs 7.
  package static let initFileDepthMax = 64
  /// Errors of one file that are reported before the rest is only counted.
  package static let diagnosticsMax = 100
  /// Bytes of one procedure's source: 4 MiB.
  package static let sourceBytesMax = 4 * 1024 * 1024
  /// Bytes of a service's file of requirements.
  package static let requirementsBytesMax = 256 * 1024
  /// Bytes of a procedure's `doc`.
  package static let documentationBytesMax = 16 * 1024
  /// The longest `timeout` of a procedure: one day, in milliseconds.
  package static let timeoutMillisecondsMax = 24 * 60 * 60 * 1000
  /// The smallest and the largest `memory` of a procedure: 1 MiB and 1 TiB.
  package static let memoryBytesMin = 1024 * 1024
  package static let memoryBytesMax = 1024 * 1024 * 1024 * 1024

  // MARK: What a manifest may hold

  /// Bytes of an encoded manifest: 8 MiB.
  package static let manifestBytesMax = 8 * 1024 * 1024
  /// Bytes of an encoded topology: 8 MiB.
  package static let topologyBytesMax = 8 * 1024 * 1024
  package static let serversMax = 1024
  package static let clientsMax = 65_536
  package static let servicesMax = 4096
  package static let proceduresMax = 16_384

  // MARK: What travels

  /// Bytes of one `system.deploy_put`: 1 MiB.
  package static let chunkBytesMax = 1024 * 1024
  /// Bytes of all sources of one deployment: 256 MiB.
  package static let stagedBytesMax = 256 * 1024 * 1024
  /// Bytes of a transaction's name.
  package static let transactionBytesMax = 64
  /// Bytes of what tells who deploys.
  package static let whoBytesMax = 256
  /// Bytes of a signed statement of a deployment: 32 KiB.
  package static let statementBytesMax = 32 * 1024
  /// Bytes of the message that a deployment carries.
  package static let messageBytesMax = 1024
  /// Bytes of the name of the commit that it comes from.
  package static let commitBytesMax = 64

  /// Sources and reasons for which one preparation says that it failed.
  package static let loadFailuresMax = 100

  // MARK: How long a deployment may hold a server's lock

  /// From one request of a deployment to the next: 30 s, in nanoseconds.
  package static let leaseNanoseconds: UInt64 = 30_000_000_000
  /// While the server itself loads the procedures: 120 s, in nanoseconds.
  package static let loadLeaseNanoseconds: UInt64 = 120_000_000_000

  // MARK: What stays on disk

  /// Generations kept, the current one and the one before it included.
  package static let generationsKept = 8
  /// Bytes of a generation's record: 64 KiB.
  package static let recordBytesMax = 64 * 1024
  /// The highest number of a generation: what every JSON reader holds exactly.
  package static let serialMax = (1 << 53) - 1
  /// How far the serial that one server has seen may be above those of the others.
  package static let serialStepMax = 1_000_000
  /// Copies of one damaged file or directory that are set aside.
  package static let damagedCopiesMax = 100
  /// Bytes of `audit.log` before it becomes `audit.log.1`: 1 MiB.
  package static let auditBytesMax = 1024 * 1024
}
