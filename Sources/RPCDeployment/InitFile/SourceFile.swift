import Glibc
import RPCSystem

/// A procedure's source as it was found, or why it was not.
package enum SourceFile {
  case bytes([UInt8], digest: String)
  case unusable(String)

  static func read(_ path: String) -> SourceFile {
    switch readBytes(path, limit: DeploymentLimits.sourceBytesMax) {
    case .failure(let reason): return .unusable(reason.message)
    case .success(let bytes): return .bytes(bytes, digest: ContentDigest.hex(of: bytes))
    }
  }

  /// Why a file cannot be read.
  package struct Reason: Error {
    package var message: String
  }

  /// The bytes of a regular file. Anything else is refused before it is opened: a pipe would block.
  package static func readBytes(_ path: String, limit: Int) -> Result<[UInt8], Reason> {
    var status = stat()
    guard stat(path, &status) == 0 else {
      let isMissing = errno == ENOENT || errno == ENOTDIR
      return .failure(
        Reason(message: isMissing ? "no such file" : String(cString: strerror(errno))))
    }
    switch status.st_mode & S_IFMT {
    case S_IFREG: break
    case S_IFDIR: return .failure(Reason(message: "it is a directory"))
    default: return .failure(Reason(message: "it is not a regular file"))
    }
    guard status.st_size <= limit else {
      return .failure(Reason(message: "it has \(status.st_size) bytes, the limit is \(limit)"))
    }
    do throws(SystemError) {
      return .success(try WholeFile.read(path, limit: limit))
    } catch {
      let isLarge = error.code == EFBIG
      return .failure(Reason(message: isLarge ? "it has more than \(limit) bytes, the limit" : error.reason))
    }
  }
}
