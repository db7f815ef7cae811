import Glibc
internal import RPCKeys

/// The generations of one server on disk. Whatever instant a crash picks, the next start finds the last
/// generation that was committed, whole.
///
///     DIR/lock                      one server at a time (flock)
///     DIR/objects/ab/cdef…          a source, named by its SHA-256, read-only
///     DIR/gen/7/{manifest,record}   an immutable generation; its record names the topology it came with
///     DIR/topologies/5/{topology,record}
///                                   an immutable topology: servers and clients
///     DIR/current -> gen/7          the generation in force: replaced by a single rename
///     DIR/topology -> topologies/5  the topology that was put in force by itself last; in force is this one or the
///                                   generation's, whichever has the higher number
///     DIR/fence                     the deployment that was in force last, by its serial
///     DIR/previous -> gen/6         the one that was in force before
///     DIR/incoming/TX/              a deployment that is not complete; removed at start
///     DIR/format                    which releases can read all this
///     DIR/audit.log                 who changed what, and when
///     DIR/….damaged                 what was in the way of any of these
///
/// Records and the fence end with the server's own signature, so that what was changed is found at the next start.
///
/// It blocks on the disk and is used from one thread, the server's deployment thread. It keeps no timers and
/// knows no clock.
package final class GenerationStore {
  package var directory: String { disk.directory }
  /// The generation that the server serves, nil before the first deployment. It changes only when a switch is
  /// complete and durable, whatever the link `current` on the disk says meanwhile.
  package internal(set) var current: Generation?
  /// The topology in force, nil before the first deployment.
  package internal(set) var topology: StoredTopology?
  /// The sources of the generation that was found at the start, until they are taken.
  var recoveredSources: [String: [UInt8]] = [:]
  /// The serial of the generation that was in force before.
  package internal(set) var previousSerial: Int?
  /// Why what is served is not what a restart should find or what was committed last, nil when all is well. The
  /// next commit repairs it.
  package internal(set) var degraded: String?
  /// The highest serial that was ever in force or may have been, whether its generation is whole or not.
  var lastSerial = 0
  /// What each generation on disk needs, nothing for a damaged one.
  var index: [Int: Needs] = [:]
  /// The highest number of a topology that is or was on disk.
  var lastTopology = 0
  /// The deployment that was in force last, as far as that is known.
  var fence: Fence?
  /// Whether a fence is there that cannot be used.
  var fenceWasRefused = false
  /// The highest serial of a deployment among the records that could be read.
  var highestRecorded = 0
  /// Whether a signed deployment was here: from then on nothing is served that is not signed.
  var refusesUnsigned = false
  /// This server's own key, from `recover` on.
  var ownKey: PrivateKey?
  var knownKey: PrivateKey {
    guard let ownKey else { preconditionFailure("nothing is read before the store knows its server's key") }
    return ownKey
  }
  /// Whether `index` is what is on disk. Where a read failed it is not, and nothing may be collected.
  var indexIsComplete = false
  /// The switch that was begun and is neither complete nor undone.
  var openSwitch: OpenSwitch?
  let disk: Disk
  /// What the mark on the disk says; nil without one that can be read.
  var format: StoreFormat?
  /// The descriptor that holds the lock, -1 once it is closed.
  private var lock: Int32 = -1

  struct OpenSwitch {
    var transaction: String
    /// Of the generation that is in its place.
    var serial: Int?
    /// Of the topology that is in its place.
    var topology: Int?
    /// Whether the link may lead there already.
    var mayBeLinked = false
  }

  struct Needs {
    var sources: Set<String> = []
    var topology: Int?
    /// The serial of its deployment, nil where that is not signed.
    var deployment: Int?
  }

  /// Opens or makes a store and takes its lock. What it holds is there after `recover`.
  ///
  /// - Throws: where the directory cannot be made or locked, or a later release wrote it.
  package convenience init(directory: String) throws(DeploymentError) {
    try self.init(directory: directory, intercept: nil)
  }

  init(directory: String, intercept: Disk.Intercept?) throws(DeploymentError) {
    disk = try Disk(directory: directory, intercept: intercept)
    lock = try disk.lock("lock")
    do throws(DeploymentError) {
      format = try readFormat()
    } catch {
      close()
      throw error
    }
  }

  deinit {
    close()
  }

  /// Gives the directory up for another server; nothing may be deployed afterwards.
  package func close() {
    guard lock >= 0 else { return }
    Glibc.close(lock)
    lock = -1
    disk.close()
  }

  /// The sources of the generation that was found at the start, for the one who loads them.
  package func takeRecoveredSources() -> [String: [UInt8]] {
    defer { recoveredSources = [:] }
    return recoveredSources
  }

  /// What was signed of the deployment in force: that of the generation, or of the topology where that came later. Nil
  /// before the first one, and for what versions up to 1.1.0 left.
  package var inForce: SignedStatement? {
    guard let generation = current?.record.signed else { return nil }
    guard let later = topology?.record.signed, later.origin.serial > generation.origin.serial else {
      return generation
    }
    return later
  }

  /// The highest serial of a deployment that this server has had in force.
  package var highestSerial: Int { max(fence?.serial ?? 0, highestRecorded, inForce?.origin.serial ?? 0) }

  /// Notes why what is served is not what should be.
  package func degrade(_ reason: String) {
    degraded = degraded.map { "\($0); \(reason)" } ?? reason
  }

  // MARK: Objects

  func objectPath(_ digest: String) -> String { "objects/\(digest.prefix(2))/\(digest.dropFirst(2))" }

  /// A source by its digest, verified. A damaged one is set aside, so that the next deployment sends it again.
  package func source(_ digest: String) throws(DeploymentError) -> [UInt8] {
    guard ContentDigest.isValid(digest) else {
      throw DeploymentError(.malformed, "'\(digest.prefix(64))' is not a digest")
    }
    let path = objectPath(digest)
    let bytes: [UInt8]?
    do throws(DeploymentError) {
      bytes = try disk.read(path, limit: DeploymentLimits.sourceBytesMax)
    } catch {
      if error.kind != .io { try? disk.setAside(path) }
      throw error
    }
    guard let bytes else {
      throw DeploymentError(.damaged, "the source \(ContentDigest.short(digest)) is missing")
    }
    guard ContentDigest.hex(of: bytes) == digest else {
      try? disk.setAside(path)
      throw DeploymentError(.damaged, "the source \(ContentDigest.short(digest)) is damaged")
    }
    return bytes
  }

  /// Whether a source is here and whole. One that cannot be read is asked for again.
  package func holds(_ digest: String) -> Bool {
    (try? source(digest)) != nil
  }

  /// The sources that a manifest names, each verified, by digest.
  package func sources(of manifest: Manifest) throws(DeploymentError) -> [String: [UInt8]] {
    var sources: [String: [UInt8]] = [:]
    for digest in manifest.sourceDigests { sources[digest] = try source(digest) }
    return sources
  }

  // MARK: The log of changes

  /// Adds a line to `audit.log`. A line that cannot be written neither refuses nor undoes a deployment.
  func audit(_ line: String) {
    try? disk.append(
      Array((DeploymentRecord.oneLine(line) + "\n").utf8), to: "audit.log",
      keeping: DeploymentLimits.auditBytesMax)
  }
}
