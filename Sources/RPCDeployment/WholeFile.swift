import Glibc

/// Files that somebody names, such as an init.yaml: links are followed.
enum WholeFile {
  /// The bytes of a file, nil where there is none.
  static func read(_ path: String, limit: Int) throws(DeploymentError) -> [UInt8]? {
    let file = open(path, O_RDONLY | O_CLOEXEC)
    guard file >= 0 else {
      if errno == ENOENT || errno == ENOTDIR { return nil }
      throw failure(path)
    }
    defer { close(file) }
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 64 * 1024)
    while true {
      let count = Glibc.read(file, &buffer, buffer.count)
      if count == 0 { return bytes }
      guard count > 0 else {
        if errno == EINTR { continue }
        throw failure(path)
      }
      bytes.append(contentsOf: buffer[..<count])
      guard bytes.count <= limit else {
        throw DeploymentError(.tooLarge, "\(path) is larger than the limit of \(limit) bytes")
      }
    }
  }

  private static func failure(_ path: String) -> DeploymentError {
    let code = errno
    return DeploymentError(.io, "cannot read \(path): \(String(cString: strerror(code)))", errno: code)
  }
}
