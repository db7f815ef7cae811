import Foundation
import RPCSystem

/// Ends every program that the tests started, however the tests end: a small process that is sent the id of every
/// program and, when the tests' end of its pipe closes, kills those that are left.
final class ProcessReaper: Sendable {
  static let shared = ProcessReaper()

  private let pipe = Lock<Int32>(-1)

  private init() {
    // A program that ends before it has read its input must not take the tests with it.
    signal(SIGPIPE, SIG_IGN)
    guard let ends = try? ChildProcess.makePipe() else { return }
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_adddup2(&actions, ends.read, 0)
    // It must hold nothing open that somebody waits for the end of.
    for descriptor: Int32 in 1...2 {
      posix_spawn_file_actions_addopen(&actions, descriptor, "/dev/null", O_WRONLY, 0)
    }
    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    // A session of its own: a Ctrl-C meant for the tests must not end it before them.
    posix_spawnattr_setflags(&attributes, ChildProcess.newSession)
    let script = """
      left=' '
      while read -r sign pid; do
        case $sign in
          +) left="$left$pid " ;;
          -) left="${left%% $pid *} ${left#* $pid }" ;;
        esac
      done
      for pid in $left; do kill -9 -- -$pid $pid; done 2>/dev/null
      """
    var pid: pid_t = 0
    let arguments: [UnsafeMutablePointer<CChar>?] =
      ["sh", "-c", script].map { (word: String) in strdup(word) } + [nil]
    defer { for argument in arguments { free(argument) } }
    guard posix_spawn(&pid, "/bin/sh", &actions, &attributes, arguments, environ) == 0 else { return }
    close(ends.read)
    let end = ends.write
    pipe.withLock { $0 = end }
  }

  func began(_ pid: pid_t) { tell("+ \(pid)\n") }
  func ended(_ pid: pid_t) { tell("- \(pid)\n") }

  private func tell(_ line: String) {
    pipe.withLock { _ = write($0, line, line.utf8.count) }
  }
}
