import Glibc
import RPCProcedures

/// A procedure's source as it was found, or why it was not.
enum SourceFile {
  case bytes([UInt8], digest: String)
  case unusable(String)

  static func read(_ path: String) -> SourceFile {
    switch readBytes(path, limit: DeploymentLimits.sourceBytesMax) {
    case .failure(let reason): return .unusable(reason.message)
    case .success(let bytes):
      guard String(validating: bytes, as: UTF8.self) != nil else { return .unusable("it is not UTF-8 text") }
      return .bytes(bytes, digest: ContentDigest.hex(of: bytes))
    }
  }

  /// Why a file cannot be read.
  struct Reason: Error {
    var message: String
  }

  /// The bytes of a regular file. Anything else is refused before it is opened: a pipe would block.
  static func readBytes(_ path: String, limit: Int) -> Result<[UInt8], Reason> {
    var status = stat()
    guard stat(path, &status) == 0 else {
      let isMissing = errno == ENOENT || errno == ENOTDIR
      return .failure(
        Reason(message: isMissing ? "there is no such file" : String(cString: strerror(errno))))
    }
    switch status.st_mode & S_IFMT {
    case S_IFREG: break
    case S_IFDIR: return .failure(Reason(message: "it is a directory"))
    default: return .failure(Reason(message: "it is no regular file"))
    }
    guard status.st_size <= limit else {
      return .failure(Reason(message: "it has \(status.st_size) bytes, the limit is \(limit)"))
    }
    do throws(DeploymentError) {
      guard let bytes = try WholeFile.read(path, limit: limit) else {
        return .failure(Reason(message: "there is no such file"))
      }
      return .success(bytes)
    } catch {
      return .failure(Reason(message: error.message))
    }
  }

  /// The functions that a source of that language defines.
  static func outline(_ bytes: [UInt8], _ language: Language) -> SourceOutline {
    switch language {
    case .python: PythonOutline.read(bytes)
    case .lua: LuaOutline.read(bytes)
    case .swift: SourceOutline(names: [], isComplete: false)
    }
  }
}

/// What a source defines for others to call, as far as can be told without running it. The server runs it
/// before it says that it is prepared; this is for errors before a byte is sent.
package struct SourceOutline {
  package var names: Set<String>
  /// False where the source may define names that cannot be seen, such as by `import *`.
  package var isComplete: Bool
}
