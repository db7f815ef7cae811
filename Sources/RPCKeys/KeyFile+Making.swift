internal import Glibc

extension KeyFile {
  /// The private key in a file, which is made with a new key where there is none. Its public half is kept beside it,
  /// in the file with `.pub` behind its name.
  ///
  /// The new file appears whole or not at all, whatever instant a crash picks, and never takes the place of another:
  /// of several programs that make it at once all get the same key.
  ///
  /// - Parameter comment: says in the files whose key it is.
  /// - Throws: `KeyError` where the file is there and cannot be used, or cannot be made.
  package static func ownKey(at path: String, comment: String) throws(KeyError) -> PrivateKey {
    var status = stat()
    if lstat(path, &status) != 0 {
      guard errno == ENOENT else { throw failure("read", path) }
      try make(path, Array(PrivateKey.random().openSSHText(comment: comment).utf8), mode: 0o600)
    }
    let key = try privateKey(at: path)
    try publish(key.publicKey, at: path + ".pub", comment: comment)
    return key
  }

  /// Keeps the public half where people look for it.
  private static func publish(_ key: PublicKey, at path: String, comment: String) throws(KeyError) {
    if let known = try? publicKeys(at: path), known == [key] { return }
    let fresh = try writeAside(path, Array("\(key) \(comment)\n".utf8), mode: 0o644)
    guard rename(fresh, path) == 0 else {
      let error = failure("write", path)
      unlink(fresh)
      throw error
    }
    try syncFolder(of: path)
  }

  /// Makes a file, unless somebody else just did: then theirs counts.
  package static func make(_ path: String, _ bytes: [UInt8], mode: UInt32) throws(KeyError) {
    let fresh = try writeAside(path, bytes, mode: mode)
    defer { unlink(fresh) }
    // Unlike a rename, a link never takes another file's place.
    guard link(fresh, path) == 0 || errno == EEXIST else { throw failure("make", path) }
    try syncFolder(of: path)
  }

  /// Writes a file beside its place, durably; returns its path.
  private static func writeAside(_ path: String, _ bytes: [UInt8], mode: mode_t) throws(KeyError) -> String {
    let fresh = path + "." + String(UInt64.random(in: .min ... .max), radix: 16) + ".new"
    let descriptor = open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode)
    guard descriptor >= 0 else { throw failure("make", path) }
    defer { close(descriptor) }
    var written = 0
    while written < bytes.count {
      let count = bytes.withUnsafeBytes {
        Glibc.write(descriptor, $0.baseAddress.map { $0 + written }, bytes.count - written)
      }
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { throw abandoned(fresh, path) }
      written += count
    }
    // The mode that was asked for, whatever the process takes away from new files.
    guard fchmod(descriptor, mode) == 0, fsync(descriptor) == 0 else { throw abandoned(fresh, path) }
    return fresh
  }

  private static func abandoned(_ fresh: String, _ path: String) -> KeyError {
    let error = failure("write", path)
    unlink(fresh)
    return error
  }

  /// Makes a new name in a folder durable.
  private static func syncFolder(of path: String) throws(KeyError) {
    let folder = path.lastIndex(of: "/").map { String(path[...$0]) } ?? "."
    let descriptor = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard descriptor >= 0 else { throw failure("write", path) }
    defer { close(descriptor) }
    guard fsync(descriptor) == 0 else { throw failure("write", path) }
  }

  private static func failure(_ verb: String, _ path: String) -> KeyError {
    KeyError("cannot \(verb) \(path): \(String(cString: strerror(errno)))")
  }
}
