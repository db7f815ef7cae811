/// Every bound of deploying, in one place. An error names the bound that was crossed, the actual size and the limit.
public enum DeploymentLimits {
  // MARK: What is read

  /// Bytes of an init.yaml: 4 MiB.
  public static let initFileBytesMax = 4 * 1024 * 1024
  /// From one look at an init.yaml that is followed to the next: 1 s, in milliseconds.
  public static let fileIntervalMilliseconds = 1000
  /// Bytes of the file that the network's `ca` names: 64 KiB.
  public static let authoritiesBytesMax = 64 * 1024
  /// Nodes of an init.yaml with its aliases written out.
  public static let initFileNodesMax = 1_000_000
  /// How deep the lists and maps of an init.yaml may nest; the format itself needs 7.
  public static let initFileDepthMax = 64
  /// Errors of one file that are reported before the rest is only counted.
  public static let diagnosticsMax = 100
  /// Bytes of one procedure's source: 4 MiB.
  public static let sourceBytesMax = 4 * 1024 * 1024
  /// Bytes of a procedure's `doc`.
  public static let documentationBytesMax = 16 * 1024
  /// The longest `timeout` of a procedure: one day, in milliseconds.
  public static let timeoutMillisecondsMax = 24 * 60 * 60 * 1000
  /// The smallest and the largest `memory` of a procedure: 1 MiB and 1 TiB.
  public static let memoryBytesMin = 1024 * 1024
  public static let memoryBytesMax = 1024 * 1024 * 1024 * 1024

  // MARK: What a manifest may hold

  /// Bytes of an encoded manifest: 8 MiB.
  public static let manifestBytesMax = 8 * 1024 * 1024
  public static let serversMax = 1024
  public static let clientsMax = 65_536
  public static let servicesMax = 4096
  public static let proceduresMax = 16_384

  // MARK: What travels

  /// Bytes of one `system.deploy_put`: 1 MiB.
  public static let chunkBytesMax = 1024 * 1024
  /// Bytes of all sources of one deployment: 256 MiB.
  public static let stagedBytesMax = 256 * 1024 * 1024
  /// Bytes of a transaction's name.
  public static let transactionBytesMax = 64
  /// Bytes of what tells who deploys.
  public static let whoBytesMax = 256

  /// Sources and reasons for which one preparation says that it failed.
  public static let loadFailuresMax = 100

  // MARK: How long a deployment may hold a server's lock

  /// From one request of a deployment to the next: 30 s, in nanoseconds.
  public static let leaseNanoseconds: UInt64 = 30_000_000_000
  /// While the server itself loads the procedures: 120 s, in nanoseconds.
  public static let loadLeaseNanoseconds: UInt64 = 120_000_000_000

  // MARK: What stays on disk

  /// Generations kept, the current one and the one before it included.
  public static let generationsKept = 8
  /// Bytes of a generation's record: 64 KiB.
  public static let recordBytesMax = 64 * 1024
  /// The highest number of a generation: what every JSON reader holds exactly.
  public static let serialMax = (1 << 53) - 1
  /// Copies of one damaged file or directory that are set aside.
  public static let damagedCopiesMax = 100
  /// Bytes of `audit.log` before it becomes `audit.log.1`: 1 MiB.
  public static let auditBytesMax = 1024 * 1024
}
