import Glibc
import RPCSystem

/// A script that is open for reading.
final class ScriptFile: Sendable {
  let descriptor: Descriptor

  init(_ path: String) throws(SystemError) {
    let raw = open(path, O_RDONLY | O_CLOEXEC)
    guard raw >= 0 else { throw SystemError.last("open") }
    descriptor = Descriptor(raw)
    var status = stat()
    if fstat(raw, &status) == 0, status.st_mode & S_IFMT == S_IFDIR {
      throw SystemError(code: EISDIR, operation: "open")
    }
  }
}
