import Glibc

/// The directory of one store, and the system calls that the store makes in it.
///
/// Every path is relative to the directory. No step follows a symbolic link, so nothing outside it is read or
/// changed, whatever the directory holds; only files and directories are opened, so nothing blocks. Each system
/// call passes through `intercept`, with which a test makes any of them fail.
final class Disk {
  /// One system call that is about to be made.
  struct Call {
    /// Such as `open` or `fsync`.
    var name: String
    /// Relative to the directory.
    var path: String
  }

  enum FileKind: String {
    case file
    case directory
    case link = "symbolic link"
    /// A FIFO, a socket or a device.
    case other = "special file"
  }

  /// Returns the error number that the call is to fail with, 0 to let it happen. For tests.
  typealias Intercept = (Call) -> Int32

  let directory: String
  var intercept: Intercept?
  /// Whether a call failed for a reason that says nothing about what is in the directory, such as EIO or EMFILE.
  /// What was learned since may be incomplete.
  var hasFailed = false
  private var root: Int32 = -1

  /// Opens a directory, made with its parents where it is missing.
  init(directory: String, intercept: Intercept? = nil) throws(DeploymentError) {
    self.directory = directory
    self.intercept = intercept
    guard !directory.isEmpty else { throw DeploymentError(.io, "the data directory has no name") }
    try makePath()
    root = Int32(
      try call("open", "", "open") { Int(open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) })
  }

  deinit { close() }

  func close() {
    guard root >= 0 else { return }
    Glibc.close(root)
    root = -1
  }

  /// `mkdir -p`. What is above the directory may be reached through links.
  private func makePath() throws(DeploymentError) {
    var parent = directory.hasPrefix("/") ? "" : "."
    for part in directory.split(separator: "/") {
      let child = parent + "/" + part
      if access(child, F_OK) != 0 {
        _ = try call("mkdir", child, "make the directory") {
          mkdir(child, 0o700) == 0 || errno == EEXIST ? 0 : -1
        }
        // A parent that cannot be synced is somebody else's, such as one that may not be read.
        let file = open(parent.isEmpty ? "/" : parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        if file >= 0 {
          fsync(file)
          Glibc.close(file)
        }
      }
      parent = child
    }
  }

  // MARK: Calls

  /// Makes one system call, again where a signal interrupted it.
  @discardableResult
  private func call(
    _ name: String, _ path: String, _ verb: String, _ body: () -> Int
  ) throws(DeploymentError) -> Int {
    var code = intercept?(Call(name: name, path: path)) ?? 0
    while code == 0 {
      let result = body()
      if result >= 0 { return result }
      code = errno == EINTR ? 0 : errno
    }
    throw failure(verb, path, code)
  }

  private func failure(_ verb: String, _ path: String, _ code: Int32) -> DeploymentError {
    let kind: DeploymentError.Kind
    switch code {
    case ELOOP, ENOTDIR, EISDIR, ENOTEMPTY, ENXIO: kind = .damaged
    case ENOENT, EEXIST, EINVAL, EPERM: kind = .io
    default:
      kind = .io
      hasFailed = true
    }
    let reason = code == ELOOP ? "it is a symbolic link" : String(cString: strerror(code))
    return DeploymentError(kind, "cannot \(verb) \(shown(path)): \(reason)", errno: code)
  }

  /// A path as messages show it: those who deploy are not told where the directory is.
  func shown(_ path: String) -> String {
    if path.isEmpty { return "the data directory" }
    return path.hasPrefix("/") || path.hasPrefix("./") ? path : "'\(path)' of the data directory"
  }

  /// Opens a directory below the root, one step at a time, following no link.
  private func withDirectory<Result>(
    _ path: some StringProtocol, _ verb: String, _ body: (Int32) throws(DeploymentError) -> Result
  ) throws(DeploymentError) -> Result {
    var current = root
    defer { if current != root { Glibc.close(current) } }
    for part in path.split(separator: "/") {
      let next = try call("open", String(path), verb) {
        Int(openat(current, String(part), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC))
      }
      if current != root { Glibc.close(current) }
      current = Int32(next)
    }
    return try body(current)
  }

  /// Opens the directory that a path is in, and gives the name in it.
  private func withParent<Result>(
    _ path: String, _ verb: String, _ body: (Int32, String) throws(DeploymentError) -> Result
  ) throws(DeploymentError) -> Result {
    guard let slash = path.lastIndex(of: "/") else { return try body(root, path) }
    return try withDirectory(path[..<slash], verb) { parent throws(DeploymentError) in
      try body(parent, String(path[path.index(after: slash)...]))
    }
  }

  /// Opens a regular file, never waiting for the other end of a FIFO.
  private func withFile<Result>(
    _ path: String, _ flags: Int32, _ verb: String, _ body: (Int32, stat) throws(DeploymentError) -> Result
  ) throws(DeploymentError) -> Result {
    try withParent(path, verb) { parent, name throws(DeploymentError) in
      let file = Int32(
        try call("open", path, verb) {
          Int(openat(parent, name, flags | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0o600))
        })
      defer { Glibc.close(file) }
      var status = stat()
      try call("fstat", path, verb) { Int(fstat(file, &status)) }
      let kind = Self.kind(status)
      guard kind == .file else {
        throw DeploymentError(.damaged, "cannot \(verb) \(shown(path)): it is a \(kind.rawValue), not a file")
      }
      return try body(file, status)
    }
  }

  private static func kind(_ status: stat) -> FileKind {
    switch status.st_mode & S_IFMT {
    case S_IFREG: .file
    case S_IFDIR: .directory
    case S_IFLNK: .link
    default: .other
    }
  }

  // MARK: Reading

  /// The bytes of a file, nil where there is none.
  func read(_ path: String, limit: Int) throws(DeploymentError) -> [UInt8]? {
    do throws(DeploymentError) {
      return try withFile(path, O_RDONLY, "read") { file, _ throws(DeploymentError) in
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 64 * 1024)
        while true {
          let count = try call("read", path, "read") { Glibc.read(file, &buffer, buffer.count) }
          if count == 0 { return bytes }
          bytes.append(contentsOf: buffer[..<count])
          guard bytes.count <= limit else {
            throw DeploymentError(.tooLarge, "\(shown(path)) is larger than the limit of \(limit) bytes")
          }
        }
      }
    } catch {
      if error.errno == ENOENT { return nil }
      throw error
    }
  }

  /// The names in a directory, sorted; none where there is no directory.
  func list(_ path: String) throws(DeploymentError) -> [String] {
    do throws(DeploymentError) {
      return try withDirectory(path, "read") { opened throws(DeploymentError) in
        let copy = Int32(try call("dup", path, "read") { Int(fcntl(opened, F_DUPFD_CLOEXEC, 0)) })
        guard let stream = fdopendir(copy) else {
          let code = errno
          Glibc.close(copy)
          throw failure("read", path, code)
        }
        defer { closedir(stream) }
        var names: [String] = []
        while true {
          var entry: UnsafeMutablePointer<dirent>?
          try call("readdir", path, "read") {
            errno = 0
            entry = readdir(stream)
            return entry == nil && errno != 0 ? -1 : 0
          }
          guard let entry else { return names.sorted() }
          let name = withUnsafePointer(to: &entry.pointee.d_name) {
            $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
          }
          if name != "." && name != ".." { names.append(name) }
        }
      }
    } catch {
      if error.errno == ENOENT { return [] }
      throw error
    }
  }

  /// Where a symbolic link points, nil where there is nothing.
  func link(_ path: String) throws(DeploymentError) -> String? {
    do throws(DeploymentError) {
      return try withParent(path, "read") { parent, name throws(DeploymentError) in
        var buffer = [CChar](repeating: 0, count: 4096)
        let count = try call("readlink", path, "read") { readlinkat(parent, name, &buffer, buffer.count) }
        return String(decoding: buffer[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
      }
    } catch {
      if error.errno == ENOENT { return nil }
      guard error.errno == EINVAL else { throw error }
      throw DeploymentError(.damaged, "\(shown(path)) is not a symbolic link")
    }
  }

  /// What is at a path, nil where there is nothing.
  func kind(_ path: String) throws(DeploymentError) -> FileKind? {
    do throws(DeploymentError) {
      return try withParent(path, "look at") { parent, name throws(DeploymentError) in
        var status = stat()
        try call("stat", path, "look at") { Int(fstatat(parent, name, &status, AT_SYMLINK_NOFOLLOW)) }
        return Self.kind(status)
      }
    } catch {
      if error.errno == ENOENT { return nil }
      throw error
    }
  }

  // MARK: Changing

  /// Makes a directory for the owner alone. One that is there stays; anything else there is set aside.
  func makeDirectory(_ path: String) throws(DeploymentError) {
    try withParent(path, "make the directory") { parent, name throws(DeploymentError) in
      for attempt in 0... {
        do throws(DeploymentError) {
          try call("mkdir", path, "make the directory") { Int(mkdirat(parent, name, 0o700)) }
          return
        } catch {
          guard error.errno == EEXIST else { throw error }
          if try kind(path) == .directory { return }
          guard attempt == 0 else { throw error }
          try setAside(path)
        }
      }
    }
  }

  /// Writes bytes at an offset of a file, which is made where it is missing and cut behind them.
  func write(_ bytes: [UInt8], to path: String, at offset: Int = 0, sync: Bool) throws(DeploymentError) {
    try withFile(path, O_WRONLY | O_CREAT, "write") { file, _ throws(DeploymentError) in
      var written = 0
      while written < bytes.count {
        written += try call("write", path, "write") {
          bytes.withUnsafeBytes {
            pwrite(file, $0.baseAddress.map { $0 + written }, bytes.count - written, off_t(offset + written))
          }
        }
      }
      try call("ftruncate", path, "write") { Int(ftruncate(file, off_t(offset + bytes.count))) }
      if sync { try call("fsync", path, "write") { Int(fsync(file)) } }
    }
  }

  /// Adds bytes at the end of a file, of which `keeping` bytes at most are kept before they go to `path.1`.
  func append(_ bytes: [UInt8], to path: String, keeping limit: Int) throws(DeploymentError) {
    let isFull = try withFile(path, O_WRONLY | O_CREAT, "write") { _, status in status.st_size >= limit }
    if isFull { try rename(path, to: path + ".1") }
    try withFile(path, O_WRONLY | O_CREAT | O_APPEND, "write") { file, _ throws(DeploymentError) in
      // One write: lines of O_APPEND do not mix, and a line cut short by a full disk harms nothing.
      _ = try call("write", path, "write") { Glibc.write(file, bytes, bytes.count) }
    }
  }

  /// Makes a file read-only and its content durable.
  func seal(_ path: String) throws(DeploymentError) {
    try withFile(path, O_RDONLY, "write") { file, _ throws(DeploymentError) in
      try call("fchmod", path, "write") { Int(fchmod(file, 0o444)) }
      try call("fsync", path, "write") { Int(fsync(file)) }
    }
  }

  /// Renames in one step. What is in the way and cannot be replaced, such as a directory where a file belongs, is
  /// set aside.
  func rename(_ path: String, to target: String) throws(DeploymentError) {
    for attempt in 0... {
      do throws(DeploymentError) {
        try withParent(path, "rename") { from, name throws(DeploymentError) in
          try withParent(target, "rename") { to, newName throws(DeploymentError) in
            _ = try call("rename", path, "rename") { Int(renameat(from, name, to, newName)) }
          }
        }
        return
      } catch {
        guard attempt == 0, error.kind == .damaged || error.errno == EEXIST, try kind(target) != nil else {
          throw error
        }
        try setAside(target)
      }
    }
  }

  /// Points a symbolic link at `target` in one step: a reader sees the old one or the new one.
  func point(_ path: String, at target: String) throws(DeploymentError) {
    let fresh = path + ".new"
    switch try kind(fresh) {
    case nil: break
    case .directory: try setAside(fresh)
    default: try remove(fresh)
    }
    try withParent(fresh, "write") { parent, name throws(DeploymentError) in
      _ = try call("symlink", fresh, "write") { Int(symlinkat(target, parent, name)) }
    }
    try rename(fresh, to: path)
  }

  /// Makes what happened in a directory durable: names made, renamed and removed.
  func syncDirectory(_ path: String) throws(DeploymentError) {
    try withDirectory(path, "sync") { opened throws(DeploymentError) in
      _ = try call("fsync", path, "sync") { Int(fsync(opened)) }
    }
  }

  /// Removes a file, a link, or a directory with all that is in it. What is not there is fine.
  func remove(_ path: String) throws(DeploymentError) {
    do throws(DeploymentError) {
      try withParent(path, "remove") { parent, name throws(DeploymentError) in
        do throws(DeploymentError) {
          try call("unlink", path, "remove") { Int(unlinkat(parent, name, 0)) }
        } catch {
          guard error.errno == EISDIR || error.errno == EPERM else { throw error }
          for name in try list(path) { try remove(path + "/" + name) }
          try call("rmdir", path, "remove") { Int(unlinkat(parent, name, AT_REMOVEDIR)) }
        }
      }
    } catch {
      if error.errno != ENOENT { throw error }
    }
  }

  /// Moves what does not belong at a path out of the way, to `path.damaged`, where a person can look at it.
  func setAside(_ path: String) throws(DeploymentError) {
    for number in 1...DeploymentLimits.damagedCopiesMax {
      let target = path + (number == 1 ? ".damaged" : ".damaged-\(number)")
      guard try kind(target) == nil else { continue }
      try withParent(path, "set aside") { parent, name throws(DeploymentError) in
        let newName = String(target.split(separator: "/").last ?? "")
        _ = try call("rename", path, "set aside") { Int(renameat(parent, name, parent, newName)) }
      }
      return
    }
    throw DeploymentError(
      .damaged, "\(shown(path + ".damaged")) exists \(DeploymentLimits.damagedCopiesMax) times: remove some")
  }

  // MARK: The lock

  /// Locks a file, which is made where it is missing, for as long as the returned descriptor is open.
  ///
  /// - Throws: `locked` where another process has it.
  func lock(_ path: String) throws(DeploymentError) -> Int32 {
    try withFile(path, O_RDWR | O_CREAT, "lock") { file, _ throws(DeploymentError) in
      let kept = Int32(try call("dup", path, "lock") { Int(fcntl(file, F_DUPFD_CLOEXEC, 0)) })
      do throws(DeploymentError) {
        try call("flock", path, "lock") { Int(flock(kept, LOCK_EX | LOCK_NB)) }
      } catch {
        Glibc.close(kept)
        guard error.errno == EWOULDBLOCK else { throw error }
        let holder = (try? read(path, limit: 64)).map { String(decoding: $0, as: UTF8.self) } ?? ""
        let process = holder.split(separator: "\n").first.map { " (process \($0))" } ?? ""
        throw DeploymentError(.locked, "it is in use by another rpc-server\(process)")
      }
      // Only for the message above: the lock itself is the kernel's and ends with the process.
      let text = "\(getpid())\n"
      ftruncate(kept, 0)
      _ = pwrite(kept, text, text.utf8.count, 0)
      return kept
    }
  }
}
