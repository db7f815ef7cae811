import Glibc

/// Ctrl-C and SIGTERM: the first undoes what was begun, a second ends the program at once.
enum Interrupt {
  private static var signals: sigset_t {
    var signals = sigset_t()
    sigemptyset(&signals)
    sigaddset(&signals, SIGINT)
    sigaddset(&signals, SIGTERM)
    return signals
  }

  /// Keeps the signals waiting for `onFirst`. Must come before any thread is made: threads inherit it, and one
  /// that did not would end the program.
  static func hold() {
    var signals = signals
    pthread_sigmask(SIG_BLOCK, &signals, nil)
  }

  /// Runs `action` on a thread of its own when the first signal comes.
  static func onFirst(_ action: @escaping @Sendable () -> Void) {
    let waiting = Waiting(signals: signals, action: action)
    var thread = pthread_t()
    let context = Unmanaged.passRetained(waiting).toOpaque()
    let status = pthread_create(
      &thread, nil,
      { context in
        guard let context else { return nil }
        let waiting = Unmanaged<Waiting>.fromOpaque(context).takeRetainedValue()
        var signals = waiting.signals
        var received: Int32 = 0
        sigwait(&signals, &received)
        waiting.action()
        sigwait(&signals, &received)
        _exit(128 + received)
      }, context)
    if status == 0 { pthread_detach(thread) }
  }

  private final class Waiting {
    let signals: sigset_t
    let action: @Sendable () -> Void

    init(signals: sigset_t, action: @escaping @Sendable () -> Void) {
      self.signals = signals
      self.action = action
    }
  }
}
