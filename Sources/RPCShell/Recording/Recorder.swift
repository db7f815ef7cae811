import CLinux
import Glibc
import RPCSystem

/// Writes what is typed into a script while `record` is on. Every command is in the file as soon as it has ended.
final class Recorder: Sendable {
  let path: String
  private let descriptor: Descriptor

  init(_ path: String, identity: String?) throws(SystemError) {
    let raw = rpc_open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
    guard raw >= 0 else { throw SystemError.last("open") }
    descriptor = Descriptor(raw)
    self.path = path
    try write(Recording.header(identity))
  }

  func add(_ line: String, _ outcome: Recording.Outcome) throws(SystemError) {
    try write(Recording.text(line, outcome))
  }

  private func write(_ text: String) throws(SystemError) {
    guard StandardOutput.write(descriptor.raw, Array(text.utf8)) else { throw .last("write") }
  }
}
