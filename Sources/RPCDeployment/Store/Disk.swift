import Glibc

/// The file operations that the store is made of, each one step that either happened or did not. A test
/// stops the world before any of them through `beforeStep`, which is how "killed at any instant" is tried.
public final class Disk {
  /// Called before each step that changes something. Throwing ends the work there, as a crash would.
  var beforeStep: ((String) throws(DeploymentError) -> Void)?

  public init() {}

  // MARK: Reading

  /// The bytes of a file, nil where there is none.
  func read(_ path: String, limit: Int) throws(DeploymentError) -> [UInt8]? {
    let file = open(path, O_RDONLY | O_CLOEXEC)
    guard file >= 0 else {
      if errno == ENOENT || errno == ENOTDIR { return nil }
      throw Self.failure("read", path)
    }
    defer { close(file) }
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 64 * 1024)
    while true {
      let count = Glibc.read(file, &buffer, buffer.count)
      if count == 0 { return bytes }
      guard count > 0 else {
        if errno == EINTR { continue }
        throw Self.failure("read", path)
      }
      bytes.append(contentsOf: buffer[..<count])
      guard bytes.count <= limit else {
        throw DeploymentError(.tooLarge, "\(path) is larger than the limit of \(limit) bytes")
      }
    }
  }

  /// The names in a directory, sorted; none where there is no directory.
  func list(_ path: String) throws(DeploymentError) -> [String] {
    guard let directory = opendir(path) else {
      if errno == ENOENT || errno == ENOTDIR { return [] }
      throw Self.failure("read", path)
    }
    defer { closedir(directory) }
    var names: [String] = []
    while let entry = readdir(directory) {
      let name = withUnsafePointer(to: &entry.pointee.d_name) {
        $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      }
      if name != "." && name != ".." { names.append(name) }
    }
    return names.sorted()
  }

  /// Where a symbolic link points, nil where there is none.
  func link(_ path: String) -> String? {
    var buffer = [CChar](repeating: 0, count: 4096)
    let count = readlink(path, &buffer, buffer.count)
    guard count > 0 else { return nil }
    return String(decoding: buffer[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  func exists(_ path: String) -> Bool {
    access(path, F_OK) == 0
  }

  // MARK: Changing

  /// Makes a directory for the owner alone; one that is there stays.
  func makeDirectory(_ path: String) throws(DeploymentError) {
    try step("mkdir \(path)")
    guard mkdir(path, 0o700) == 0 || errno == EEXIST else { throw Self.failure("make the directory", path) }
  }

  /// Writes bytes at an offset of a file, which is made where it is missing and cut behind them.
  func write(_ bytes: [UInt8], to path: String, at offset: Int = 0, sync: Bool) throws(DeploymentError) {
    try step("write \(path)")
    let file = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0o600)
    guard file >= 0 else { throw Self.failure("write", path) }
    defer { close(file) }
    var written = 0
    while written < bytes.count {
      let count = bytes.withUnsafeBytes {
        pwrite(file, $0.baseAddress.map { $0 + written }, bytes.count - written, off_t(offset + written))
      }
      if count < 0 {
        if errno == EINTR { continue }
        throw Self.failure("write", path)
      }
      written += count
    }
    guard ftruncate(file, off_t(offset + bytes.count)) == 0 else { throw Self.failure("write", path) }
    if sync, fsync(file) != 0 { throw Self.failure("write", path) }
  }

  /// Adds bytes at the end of a file.
  func append(_ bytes: [UInt8], to path: String) throws(DeploymentError) {
    try step("append \(path)")
    let file = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
    guard file >= 0 else { throw Self.failure("write", path) }
    defer { close(file) }
    // One write: lines of O_APPEND do not mix, and a line cut short by a full disk harms nothing.
    guard Glibc.write(file, bytes, bytes.count) == bytes.count else { throw Self.failure("write", path) }
  }

  /// Makes a file read-only and its content durable.
  func seal(_ path: String) throws(DeploymentError) {
    try step("seal \(path)")
    let file = open(path, O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { throw Self.failure("write", path) }
    defer { close(file) }
    guard fchmod(file, 0o444) == 0, fsync(file) == 0 else { throw Self.failure("write", path) }
  }

  func rename(_ path: String, to target: String) throws(DeploymentError) {
    try step("rename \(path) \(target)")
    guard Glibc.rename(path, target) == 0 else { throw Self.failure("rename", path) }
  }

  /// Points a symbolic link at `target` in one step: whoever reads it sees the old one or the new one.
  func point(_ path: String, at target: String) throws(DeploymentError) {
    let fresh = path + ".new"
    try step("symlink \(fresh)")
    unlink(fresh)
    guard symlink(target, fresh) == 0 else { throw Self.failure("write", path) }
    try rename(fresh, to: path)
  }

  /// Makes what happened in a directory durable: names made, renamed and removed.
  func syncDirectory(_ path: String) throws(DeploymentError) {
    try step("sync \(path)")
    let directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard directory >= 0 else { throw Self.failure("write", path) }
    defer { close(directory) }
    guard fsync(directory) == 0 else { throw Self.failure("write", path) }
  }

  /// Removes a file, a link, or a directory with all that is in it. What is not there is fine.
  func remove(_ path: String) throws(DeploymentError) {
    try step("remove \(path)")
    if unlink(path) == 0 || errno == ENOENT { return }
    guard errno == EISDIR || errno == EPERM else { throw Self.failure("remove", path) }
    for name in try list(path) { try remove(path + "/" + name) }
    guard rmdir(path) == 0 || errno == ENOENT else { throw Self.failure("remove", path) }
  }

  private func step(_ what: String) throws(DeploymentError) {
    try beforeStep?(what)
  }

  static func failure(_ verb: String, _ path: String) -> DeploymentError {
    let reason = String(cString: strerror(errno))
    return DeploymentError(.io, "cannot \(verb) \(path): \(reason)")
  }
}
