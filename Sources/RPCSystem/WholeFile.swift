internal import CLinux
internal import Glibc

/// Reads a file or a stream to its end, with a limit.
package enum WholeFile {
  /// The bytes of the file at `path`; links are followed.
  ///
  /// - Throws: the error of open(2) or read(2), `EFBIG` for more than `limit` bytes.
  package static func read(_ path: String, limit: Int) throws(SystemError) -> [UInt8] {
    let raw = rpc_open(path, O_RDONLY | O_CLOEXEC, 0)
    guard raw >= 0 else { throw SystemError.last("open") }
    let descriptor = Descriptor(raw)
    return try read(descriptor.raw, limit: limit)
  }

  /// What is left to read of a descriptor.
  ///
  /// - Throws: the error of read(2), `EFBIG` for more than `limit` bytes.
  package static func read(_ descriptor: Int32, limit: Int) throws(SystemError) -> [UInt8] {
    var result: [UInt8] = []
    while try readOnce(descriptor, &result, limit) {}
    return result
  }

  /// What is left to read of a descriptor that may be slow, such as a terminal.
  ///
  /// - Parameter isCancelled: asked a few times per second while nothing comes; nil is returned once it is true.
  /// - Throws: the error of read(2), `EFBIG` for more than `limit` bytes.
  package static func read(
    _ descriptor: Int32, limit: Int, isCancelled: () -> Bool
  ) throws(SystemError) -> [UInt8]? {
    var result: [UInt8] = []
    while true {
      var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
      if isCancelled() { return nil }
      guard poll(&entry, 1, 200) != 0 else { continue }
      guard try readOnce(descriptor, &result, limit) else { return result }
    }
  }

  /// Appends what comes next. False at the end.
  private static func readOnce(
    _ descriptor: Int32, _ result: inout [UInt8], _ limit: Int
  ) throws(SystemError) -> Bool {
    var buffer = [UInt8](repeating: 0, count: 64 * 1024)
    let count = Glibc.read(descriptor, &buffer, buffer.count)
    if count < 0 {
      if errno == EINTR { return true }
      throw SystemError.last("read")
    }
    result.append(contentsOf: buffer[..<count])
    guard result.count <= limit else { throw SystemError(code: EFBIG, operation: "read") }
    return count > 0
  }
}
