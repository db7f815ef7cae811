import Glibc
import RPCSystem

/// A program that the shell runs: `!command`, `| command`, the pager. It gets the terminal as it is and signals as
/// any program has them, whatever the shell itself blocks.
struct ChildProcess: Sendable {
  let process: pid_t

  static func start(_ arguments: [String], standardInput: Int32 = 0) throws(SystemError) -> ChildProcess {
    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    var none = sigset_t()
    sigemptyset(&none)
    posix_spawnattr_setsigmask(&attributes, &none)
    var all = sigset_t()
    sigfillset(&all)
    posix_spawnattr_setsigdefault(&attributes, &all)
    posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    if standardInput != 0 { posix_spawn_file_actions_adddup2(&actions, standardInput, 0) }
    var copies: [UnsafeMutablePointer<CChar>?] = arguments.map { strdup($0) }
    copies.append(nil)
    defer { for copy in copies { free(copy) } }
    var process = pid_t()
    let code = posix_spawnp(&process, arguments[0], &actions, &attributes, copies, environ)
    guard code == 0 else { throw SystemError(code: code, operation: "run \(arguments[0])") }
    return ChildProcess(process: process)
  }

  /// Runs a command line with the shell's own input and output, and waits for it.
  static func shell(_ command: String, withoutInput: Bool) async -> Int32 {
    let nothing = withoutInput ? open("/dev/null", O_RDONLY | O_CLOEXEC) : 0
    defer { if nothing > 0 { close(nothing) } }
    guard let child = try? start(["/bin/sh", "-c", command], standardInput: max(0, nothing)) else {
      return 127
    }
    return await child.wait()
  }

  /// The exit status, or 128 and the signal's number, as a shell tells it.
  func wait() async -> Int32 {
    await Blocking.run { waitNow() }
  }

  func waitNow() -> Int32 {
    var status: Int32 = 0
    while waitpid(process, &status, 0) < 0 {
      if errno != EINTR { return 127 }
    }
    return status & 0x7f == 0 ? status >> 8 & 0xff : 128 + status & 0x7f
  }
}

/// Waits for what blocks a thread without blocking one that tasks run on.
enum Blocking {
  static func run<T: Sendable>(_ body: @escaping @Sendable () -> T) async -> T {
    await withCheckedContinuation { continuation in
      start { continuation.resume(returning: body()) }
    }
  }

  /// Runs on a thread of its own.
  static func start(_ body: @escaping @Sendable () -> Void) {
    final class Box {
      let body: @Sendable () -> Void
      init(_ body: @escaping @Sendable () -> Void) { self.body = body }
    }
    var thread = pthread_t()
    let box = Unmanaged.passRetained(Box(body))
    let code = pthread_create(
      &thread, nil,
      { argument in
        guard let argument else { return nil }
        Unmanaged<Box>.fromOpaque(argument).takeRetainedValue().body()
        return nil
      }, box.toOpaque())
    precondition(code == 0, "no thread could be started")
    pthread_detach(thread)
  }
}
