import Glibc
import RPCTransport

@testable import RPCShell

/// A folder that is gone when its test is.
final class TemporaryFolder: Sendable {
  let path: String

  init() throws {
    var template = Array("/tmp/rpc-shell-XXXXXX".utf8CString)
    guard mkdtemp(&template) != nil else { throw SystemError.last("mkdtemp") }
    path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  deinit { Self.remove(path) }

  func write(_ name: String, _ text: String) throws {
    let descriptor = open(path + "/" + name, O_WRONLY | O_CREAT | O_TRUNC, 0o644)
    guard descriptor >= 0 else { throw SystemError.last("open \(name)") }
    defer { close(descriptor) }
    _ = StandardOutput.write(descriptor, Array(text.utf8))
  }

  func read(_ name: String) throws -> String {
    String(decoding: try FileContent.read(path + "/" + name, limit: 1 << 26), as: UTF8.self)
  }

  func makeFolder(_ name: String) throws {
    guard mkdir(path + "/" + name, 0o700) == 0 else { throw SystemError.last("mkdir \(name)") }
  }

  private static func remove(_ path: String) {
    // What a link points to is nobody's business here.
    guard unlink(path) != 0, let handle = opendir(path) else { return }
    while let entry = readdir(handle) {
      let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
        pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      }
      if name != ".", name != ".." { remove(path + "/" + name) }
    }
    closedir(handle)
    rmdir(path)
  }
}
