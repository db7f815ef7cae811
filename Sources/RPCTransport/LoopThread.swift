internal import CLinux
internal import Glibc
package import RPCSystem

/// A loop on a thread of its own.
package final class LoopThread: Sendable {
  package let mailbox: Mailbox
  private let finished: Latch

  /// Starts the thread; `setUp` runs on it before the first turn.
  ///
  /// - Parameters:
  ///   - name: shown by `top -H` and debuggers; the first 15 bytes count.
  ///   - clock: for tests, see `EventLoop`.
  package init(
    name: String, clock: ManualClock? = nil, setUp: @escaping @Sendable (EventLoop) -> Void = { _ in }
  ) throws(SystemError) {
    // The loop is made here, so that its failure can be thrown, and then belongs to its thread alone.
    nonisolated(unsafe) let loop = try EventLoop(clock: clock)
    mailbox = loop.mailbox
    let finished = Latch()
    self.finished = finished
    try Self.spawn(name: name) {
      setUp(loop)
      loop.run()
      finished.signal()
    }
  }

  /// Asks the loop to end after its turn.
  package func stop() {
    mailbox.post { $0.stop() }
  }

  /// Waits until the loop has ended. Never from the loop's own thread.
  package func join() {
    finished.wait()
  }

  /// Runs `body` on a new thread that nobody joins.
  package static func spawn(name: String, _ body: @escaping @Sendable () -> Void) throws(SystemError) {
    final class Box: Sendable {
      let name: String
      let body: @Sendable () -> Void
      init(_ name: String, _ body: @escaping @Sendable () -> Void) {
        self.name = name
        self.body = body
      }
    }
    let box = Unmanaged.passRetained(Box(name, body))
    var thread = pthread_t()
    let status = pthread_create(
      &thread, nil,
      { argument in
        guard let argument else { return nil }
        let box = Unmanaged<Box>.fromOpaque(argument).takeRetainedValue()
        _ = rpc_set_thread_name(String(decoding: box.name.utf8.prefix(15), as: UTF8.self))
        box.body()
        return nil
      }, box.toOpaque())
    guard status == 0 else {
      box.release()
      throw SystemError(code: status, operation: "start the thread '\(name)'")
    }
    pthread_detach(thread)
  }
}
