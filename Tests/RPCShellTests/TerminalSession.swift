import CLinux
import Glibc
import RPCSystem
import TestSupport

@testable import RPCShell

/// A program on a terminal of its own: keys in, screen out.
final class TerminalSession {
  let process: pid_t
  private let master: Int32
  private(set) var screen: Screen
  /// Everything that came, as it came.
  private(set) var bytes: [UInt8] = []
  private(set) var status: Int32?

  /// - Parameter environment: what differs from this process's own; nil takes a variable away.
  init(
    _ arguments: [String], columns: Int = 80, rows: Int = 24, environment: [String: String?] = [:]
  ) throws {
    screen = Screen(columns: columns, rows: rows)
    let name: String
    (master, name) = try PseudoTerminal.open()
    var size = winsize(ws_row: UInt16(rows), ws_col: UInt16(columns), ws_xpixel: 0, ws_ypixel: 0)
    _ = ioctl(master, UInt(TIOCSWINSZ), &size)
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    // The first terminal that the leader of a session opens is its own.
    posix_spawn_file_actions_addopen(&actions, 0, name, O_RDWR, 0)
    posix_spawn_file_actions_adddup2(&actions, 0, 1)
    posix_spawn_file_actions_adddup2(&actions, 0, 2)
    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    var none = sigset_t()
    sigemptyset(&none)
    posix_spawnattr_setsigmask(&attributes, &none)
    var all = sigset_t()
    sigfillset(&all)
    posix_spawnattr_setsigdefault(&attributes, &all)
    // POSIX_SPAWN_SETSID, which the module does not tell.
    posix_spawnattr_setflags(&attributes, Int16(0x80 | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))
    var variables =
      [
        "TERM": "xterm", "LANG": "C.UTF-8", "RPC_HISTFILE": "/dev/null", "RPC_RCFILE": "/dev/null",
        "PAGER": "cat",
      ]
      as [String: String?]
    for (name, value) in environment { variables.updateValue(value, forKey: name) }
    let inherited = (["PATH", "HOME", "ASAN_OPTIONS", "TSAN_OPTIONS"] as [String]).compactMap { name in
      getenv(name).map { "\(name)=\(String(cString: $0))" }
    }
    let list = inherited + variables.compactMap { name, value in value.map { "\(name)=\($0)" } }
    var settings: [UnsafeMutablePointer<CChar>?] = list.map { strdup($0) }
    settings.append(nil)
    var copies: [UnsafeMutablePointer<CChar>?] = arguments.map { strdup($0) }
    copies.append(nil)
    defer { for copy in copies + settings { free(copy) } }
    var process = pid_t()
    let code = posix_spawn(&process, arguments[0], &actions, &attributes, &copies, &settings)
    guard code == 0 else { throw SystemError(code: code, operation: "run \(arguments[0])") }
    self.process = process
  }

  deinit {
    if status == nil {
      kill(process, SIGKILL)
      waitpid(process, nil, 0)
    }
    close(master)
  }

  func send(_ text: String) { _ = StandardOutput.write(master, Array(text.utf8)) }
  func send(bytes: [UInt8]) { _ = StandardOutput.write(master, bytes) }

  func resize(columns: Int, rows: Int) {
    var size = winsize(ws_row: UInt16(rows), ws_col: UInt16(columns), ws_xpixel: 0, ws_ypixel: 0)
    screen = Screen(columns: columns, rows: rows)
    _ = ioctl(master, UInt(TIOCSWINSZ), &size)
  }

  struct NotSeen: Error, CustomStringConvertible {
    var wanted: String
    var screen: String
    var description: String { "waited in vain for \(wanted); the screen:\n\(screen)" }
  }

  /// Waits until the screen is as wanted.
  @discardableResult
  func wait(_ wanted: String, seconds: Int = 20, until isThere: (Screen) -> Bool) throws -> Screen {
    let end = ContinuousClock.now + .seconds(seconds)
    while !isThere(screen) {
      let left = (end - .now).nanoseconds / 1_000_000
      guard left > 0, receive(milliseconds: Int32(left)) else {
        throw NotSeen(wanted: wanted, screen: screen.text)
      }
    }
    return screen
  }

  @discardableResult
  func wait(for text: String, seconds: Int = 20) throws -> Screen {
    try wait("'\(text)'", seconds: seconds) { $0.text.contains(text) }
  }

  /// Waits for the prompt with nothing behind it but hints.
  @discardableResult
  func waitForPrompt(_ prompt: String = "rpc>") throws -> Screen {
    try wait("the prompt") { $0.currentLine.hasPrefix(prompt) && $0.column == prompt.count + 1 && $0.pastes }
  }

  /// Waits for the program's end; the status as a shell tells it.
  func waitForEnd(seconds: Int = 20) throws -> Int32 {
    let end = ContinuousClock.now + .seconds(seconds)
    while true {
      let left = (end - .now).nanoseconds / 1_000_000
      if left > 0, receive(milliseconds: Int32(left)) { continue }
      // The terminal's other end is closed, or nothing has come for too long.
      guard ContinuousClock.now < end else { throw NotSeen(wanted: "the end", screen: screen.text) }
      break
    }
    var raw: Int32 = 0
    waitpid(process, &raw, 0)
    let result = raw & 0x7f == 0 ? raw >> 8 & 0xff : 128 + raw & 0x7f
    status = result
    return result
  }

  /// The terminal's settings now: whether it echoes and reads lines, as a sane one does.
  var isSane: Bool {
    var settings = termios()
    return tcgetattr(master, &settings) == 0 && settings.c_lflag & UInt32(ECHO) != 0
      && settings.c_lflag & UInt32(ICANON) != 0
  }

  /// Takes what comes next. False at the end, or when nothing comes.
  private func receive(milliseconds: Int32) -> Bool {
    var entry = pollfd(fd: master, events: Int16(POLLIN), revents: 0)
    guard poll(&entry, 1, milliseconds) > 0 else { return false }
    var buffer = [UInt8](repeating: 0, count: 65536)
    let count = Glibc.read(master, &buffer, buffer.count)
    guard count > 0 else { return false }
    bytes += buffer[..<count]
    screen.feed(Array(buffer[..<count]))
    return true
  }
}

/// The built programs, beside the tests.
enum Built {
  static func program(_ name: String) throws -> String {
    var buffer = [CChar](repeating: 0, count: 4096)
    let count = readlink("/proc/self/exe", &buffer, buffer.count - 1)
    let path = String(decoding: buffer.prefix(max(0, count)).map { UInt8(bitPattern: $0) }, as: UTF8.self)
    let folder = path.split(separator: "/").dropLast().joined(separator: "/")
    let program = "/\(folder)/\(name)"
    guard access(program, X_OK) == 0 else { throw SystemError.last("find \(program)") }
    return program
  }
}
