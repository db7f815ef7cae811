import CLibEdit
import Glibc
import RPCSystem

/// Shows long output page by page: `$PAGER`, or `less` set so that it ends by itself where it can.
enum Pager {
  /// Whether a text is longer than the screen.
  static func isNeeded(_ text: String) -> Bool {
    let size = Terminal.size(of: 1)
    var rows = 0
    for byte in text.utf8 where byte == .newline {
      rows += 1
      if rows >= size.rows { return true }
    }
    return false
  }

  static func show(_ text: String) {
    let command = Environment["PAGER"] ?? "less -FRX"
    var ends: [Int32] = [0, 0]
    guard rpc_pipe(&ends) == 0 else { return plain(text) }
    guard let child = try? ChildProcess.start(["/bin/sh", "-c", command], descriptors: [ends[0]]) else {
      close(ends[0])
      close(ends[1])
      return plain(text)
    }
    close(ends[0])
    _ = StandardOutput.write(ends[1], Array(text.utf8))
    close(ends[1])
    // There may be no such program.
    if child.wait() == 127 { plain(text) }
  }

  private static func plain(_ text: String) { _ = StandardOutput.write(1, Array(text.utf8)) }
}
