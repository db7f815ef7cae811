internal import RPCWire

/// One deployment as a server sees it, from its begin to its end: who, what, how far, and until when it may
/// take. Pure: `Staging` does what it decides.
struct DeploymentTransaction {
  enum Phase: Equatable {
    /// Sources arrive.
    case receiving
    /// Everything is here; the server is loading the procedures.
    case loading
    /// Loaded and durable: a commit cannot fail for want of anything.
    case prepared
  }

  let id: String
  let who: String
  /// By which its last request came.
  var connection: ObjectIdentifier?
  let content: DeploymentContent
  let signed: SignedStatement
  let digest: String
  let topologyDigest: String
  /// Whether the manifest is the one in force: no procedure is loaded again, and the generation stays.
  let isTopologyOnly: Bool
  /// The sources that were not here at the begin.
  let wanted: [String]
  private(set) var phase = Phase.receiving
  /// What is on disk once it is prepared.
  private(set) var prepared: PreparedDeployment?
  /// When the lease runs out, on the caller's clock.
  private(set) var expires: UInt64
  private var received: [UTF8Key: Int] = [:]
  private var complete: Set<UTF8Key> = []
  private var stagedBytes = 0

  init(
    id: String, who: String, connection: ObjectIdentifier? = nil, content: DeploymentContent,
    signed: SignedStatement, isTopologyOnly: Bool = false, wanted: [String], now: UInt64
  ) {
    self.id = id
    self.who = who
    self.connection = connection
    self.content = content
    self.signed = signed
    self.isTopologyOnly = isTopologyOnly
    self.wanted = wanted
    digest = content.manifest.digest
    topologyDigest = content.topology.digest
    expires = now + DeploymentLimits.leaseNanoseconds
  }

  func isExpired(at now: UInt64) -> Bool { now >= expires }

  mutating func renew(at now: UInt64) {
    expires =
      now + (phase == .loading ? DeploymentLimits.loadLeaseNanoseconds : DeploymentLimits.leaseNanoseconds)
  }

  // MARK: Sources

  /// The wanted sources that have not come whole yet.
  var missing: [String] { wanted.filter { !complete.contains(UTF8Key($0)) } }

  /// What to do with a chunk of a source.
  enum ChunkDecision: Equatable {
    /// Write it where it says.
    case write
    /// It is here already, or leaves a gap: the sender goes on from where the file ends.
    case ignore
  }

  func bytesReceived(of digest: String) -> Int { received[UTF8Key(digest)] ?? 0 }

  func decide(digest: String, offset: Int, count: Int) throws(DeploymentError) -> ChunkDecision {
    guard phase == .receiving else {
      throw DeploymentError(.outOfOrder, "the deployment is prepared: it takes no more sources")
    }
    guard wanted.contains(where: { $0.hasSameUTF8(as: digest) }) else {
      throw DeploymentError(.malformed, "the source '\(digest.prefix(64))' was not asked for")
    }
    guard offset >= 0 else { throw DeploymentError(.malformed, "a negative offset") }
    guard count <= DeploymentLimits.chunkBytesMax else {
      throw DeploymentError(
        .tooLarge, "a chunk of \(count) bytes, the limit is \(DeploymentLimits.chunkBytesMax)")
    }
    guard !complete.contains(UTF8Key(digest)), offset == bytesReceived(of: digest) else { return .ignore }
    guard offset + count <= DeploymentLimits.sourceBytesMax else {
      throw DeploymentError(
        .tooLarge,
        "a source of at least \(offset + count) bytes, the limit is \(DeploymentLimits.sourceBytesMax)")
    }
    guard stagedBytes + count <= DeploymentLimits.stagedBytesMax else {
      throw DeploymentError(
        .tooLarge,
        "sources of at least \(stagedBytes + count) bytes, the limit is \(DeploymentLimits.stagedBytesMax)")
    }
    return .write
  }

  mutating func wrote(_ count: Int, of digest: String) {
    received[UTF8Key(digest), default: 0] += count
    stagedBytes += count
  }

  mutating func completed(_ digest: String) {
    complete.insert(UTF8Key(digest))
  }

  /// What came is not what was announced: it starts again.
  mutating func rejected(_ digest: String) {
    stagedBytes -= received.removeValue(forKey: UTF8Key(digest)) ?? 0
  }

  // MARK: Phases

  mutating func startLoading(at now: UInt64) throws(DeploymentError) {
    guard missing.isEmpty else {
      throw DeploymentError(
        .outOfOrder, "\(missing.count) of \(wanted.count) sources have not arrived, such as \(missing[0])")
    }
    if phase == .receiving { phase = .loading }
    renew(at: now)
  }

  mutating func persisted(_ prepared: PreparedDeployment, at now: UInt64) {
    phase = .prepared
    self.prepared = prepared
    renew(at: now)
  }

  mutating func loadFailed(at now: UInt64) {
    phase = .receiving
    renew(at: now)
  }
}
