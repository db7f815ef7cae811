import Glibc

/// The generations of one server on disk. Whatever instant a crash picks, the next start finds the last
/// generation that was committed, whole.
///
///     DIR/lock                      one server at a time (flock)
///     DIR/objects/ab/cdef…          a source, named by its SHA-256, read-only
///     DIR/gen/7/{manifest,record}   an immutable generation
///     DIR/current -> gen/7          the one in force: replaced by a single rename
///     DIR/previous -> gen/6         where to go back to when the current one is damaged
///     DIR/incoming/TX/              a deployment that is not complete; removed at start
///     DIR/audit.log                 who changed what, and when
///
/// It blocks on the disk and is used from one thread, the server's deployment thread. It keeps no timers and
/// knows no clock.
public final class GenerationStore {
  public let directory: String
  /// The generation in force, nil before the first deployment.
  public internal(set) var current: Generation?
  /// The serial of the generation to go back to.
  public internal(set) var previousSerial: Int?
  /// Why the generation in force is not the one that was committed last, nil when all is well.
  public internal(set) var degraded: String?
  /// The highest serial that was ever committed, whether its generation is whole or not.
  var lastSerial = 0
  let disk: Disk
  /// The descriptor that holds the lock, -1 once it is closed.
  private var lock: Int32

  /// Opens or makes a store, takes its lock, removes what an interrupted deployment left and finds the
  /// generation in force.
  public init(directory: String, disk: Disk = Disk()) throws(DeploymentError) {
    self.directory = directory
    self.disk = disk
    lock = try Self.takeLock(directory, disk)
    do throws(DeploymentError) {
      for name in ["objects", "gen", "incoming"] { try disk.makeDirectory("\(directory)/\(name)") }
      try recover()
    } catch {
      close()
      throw error
    }
  }

  deinit {
    close()
  }

  /// Gives the directory up for another server; nothing may be deployed afterwards.
  public func close() {
    guard lock >= 0 else { return }
    Glibc.close(lock)
    lock = -1
  }

  private static func takeLock(_ directory: String, _ disk: Disk) throws(DeploymentError) -> Int32 {
    try makePath(directory, disk)
    let path = directory + "/lock"
    let file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
    guard file >= 0 else { throw Disk.failure("open", path) }
    guard flock(file, LOCK_EX | LOCK_NB) == 0 else {
      var holder = ""
      if errno == EWOULDBLOCK, let bytes = try? disk.read(path, limit: 64) {
        holder = " (process \(String(decoding: bytes, as: UTF8.self).split(separator: "\n").first ?? "?"))"
      }
      Glibc.close(file)
      throw DeploymentError(.locked, "\(directory) is in use by another rpc-server\(holder)")
    }
    // Only for the message above: the lock itself is the kernel's and ends with the process.
    let text = "\(getpid())\n"
    ftruncate(file, 0)
    _ = pwrite(file, text, text.utf8.count, 0)
    return file
  }

  /// `mkdir -p`.
  private static func makePath(_ path: String, _ disk: Disk) throws(DeploymentError) {
    guard !path.isEmpty else { throw DeploymentError(.io, "the data directory has no name") }
    var parent = path.hasPrefix("/") ? "" : "."
    for part in path.split(separator: "/") {
      let child = parent + "/" + part
      if !disk.exists(child) {
        try disk.makeDirectory(child)
        try disk.syncDirectory(parent.isEmpty ? "/" : parent)
      }
      parent = child
    }
  }

  // MARK: Objects

  func objectPath(_ digest: String) -> String {
    "\(directory)/objects/\(digest.prefix(2))/\(digest.dropFirst(2))"
  }

  /// A source by its digest, verified. A damaged one is put aside, so that the next deployment sends it again.
  public func source(_ digest: String) throws(DeploymentError) -> [UInt8] {
    guard ContentDigest.isValid(digest) else { throw DeploymentError(.malformed, "'\(digest)' is no digest") }
    let path = objectPath(digest)
    guard let bytes = try disk.read(path, limit: DeploymentLimits.sourceBytesMax) else {
      throw DeploymentError(.damaged, "the source \(ContentDigest.short(digest)) is missing")
    }
    guard ContentDigest.hex(of: bytes) == digest else {
      try disk.rename(path, to: path + ".damaged")
      throw DeploymentError(.damaged, "the source \(ContentDigest.short(digest)) is damaged")
    }
    return bytes
  }

  /// Whether a source is here and whole.
  public func holds(_ digest: String) -> Bool {
    (try? source(digest)) != nil
  }

  /// The sources that a manifest names, each verified, by digest.
  public func sources(of manifest: Manifest) throws(DeploymentError) -> [String: [UInt8]] {
    var sources: [String: [UInt8]] = [:]
    for digest in manifest.sourceDigests { sources[digest] = try source(digest) }
    return sources
  }

  // MARK: The log of changes

  /// Adds a line to `audit.log`. Not being able to is no reason to refuse or undo a deployment.
  func audit(_ line: String) {
    let path = directory + "/audit.log"
    var status = stat()
    if stat(path, &status) == 0, status.st_size >= DeploymentLimits.auditBytesMax {
      try? disk.rename(path, to: path + ".1")
    }
    try? disk.append(Array((DeploymentRecord.oneLine(line) + "\n").utf8), to: path)
  }
}
