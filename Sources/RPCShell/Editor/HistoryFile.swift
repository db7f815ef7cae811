import CLinux
import Glibc
import RPCSystem
import RPCWire

/// The history of all sessions: one entry per line, newlines and backslashes escaped. Every entry is appended on its
/// own under a lock, so that parallel shells lose nothing.
struct HistoryFile: Sendable {
  let path: String

  /// `RPC_HISTFILE`, or the XDG state directory. Nil where there is none, or it was switched off.
  static var standard: HistoryFile? {
    let path =
      Environment["RPC_HISTFILE"] ?? Environment.xdg("XDG_STATE_HOME", default: ".local/state", "history")
    guard let path, path != "/dev/null" else { return nil }
    return HistoryFile(path: FileContent.expanded(path))
  }

  /// Oldest first; those that repeat the one before once.
  func load() -> [String] {
    guard let bytes = try? WholeFile.read(path, limit: 4 * ShellLimits.historyFileBytesMax) else {
      return []
    }
    var entries: [String] = []
    for line in bytes.split(separator: .newline).suffix(ShellLimits.historyEntriesMax) {
      let entry = Self.decoded(line)
      if !entries.last.hasSameUTF8(as: entry) { entries.append(entry) }
    }
    return entries
  }

  func append(_ entry: String) {
    makeFolder()
    guard let descriptor = openLocked() else { return }
    defer { close(descriptor) }
    _ = StandardOutput.write(descriptor, Self.encoded(entry) + [.newline])
    var status = stat()
    if fstat(descriptor, &status) == 0, status.st_size > ShellLimits.historyFileBytesMax {
      shorten(descriptor)
    }
  }

  /// Opens the file that the path names once the lock is held: another program may have put a new one in its
  /// place while this waited.
  private func openLocked() -> Int32? {
    for _ in 0..<10 {
      let descriptor = rpc_open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0o600)
      guard descriptor >= 0 else { return nil }
      flock(descriptor, LOCK_EX)
      var held = stat()
      var named = stat()
      if fstat(descriptor, &held) == 0, stat(path, &named) == 0, held.st_ino == named.st_ino {
        return descriptor
      }
      close(descriptor)
    }
    return nil
  }

  /// Keeps the newest half, in a new file that takes the old one's place while its lock is held.
  private func shorten(_ held: Int32) {
    guard let bytes = try? WholeFile.read(path, limit: 4 * ShellLimits.historyFileBytesMax) else { return }
    let half = bytes.suffix(ShellLimits.historyFileBytesMax / 2)
    guard let start = half.firstIndex(of: .newline) else { return }
    let temporary = path + ".new"
    let descriptor = rpc_open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { return }
    let isWritten = StandardOutput.write(descriptor, Array(half[(start + 1)...]))
    close(descriptor)
    if isWritten { rename(temporary, path) } else { unlink(temporary) }
  }

  private func makeFolder() {
    var index = path.startIndex
    while let slash = path[path.index(after: index)...].firstIndex(of: "/") {
      mkdir(String(path[..<slash]), 0o700)
      index = slash
    }
  }

  static func encoded(_ entry: String) -> [UInt8] {
    entry.utf8.flatMap { byte -> [UInt8] in
      switch byte {
      case .newline: Array("\\n".utf8)
      case .backslash: Array("\\\\".utf8)
      default: [byte]
      }
    }
  }

  static func decoded(_ line: some Sequence<UInt8>) -> String {
    var result: [UInt8] = []
    var isEscaped = false
    for byte in line {
      if isEscaped {
        result.append(byte == UInt8(ascii: "n") ? .newline : byte)
        isEscaped = false
      } else if byte == .backslash {
        isEscaped = true
      } else {
        result.append(byte)
      }
    }
    return String(decoding: result, as: UTF8.self)
  }
}
