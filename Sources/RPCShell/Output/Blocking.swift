import Glibc
import RPCSystem

extension ChildProcess {
  /// Runs a command line with the shell's own input and output, and waits for it.
  static func shell(_ command: String, withoutInput: Bool) async -> Int32 {
    guard let child = try? start(["/bin/sh", "-c", command], descriptors: withoutInput ? [-1] : []) else {
      return 127
    }
    return await child.ended()
  }

  /// The exit status, or 128 and the signal's number, as a shell tells it.
  func ended() async -> Int32 {
    await Blocking.run { wait() }
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
