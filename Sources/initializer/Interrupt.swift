import Glibc

/// Ctrl-C and SIGTERM: the first undoes what was begun, a second ends the program at once.
enum Interrupt {
  /// Where the signal's handler writes its number. Written once, before the handler is installed.
  nonisolated(unsafe) private static var writeEnd: Int32 = -1

  /// Runs `action` on a thread of its own when the first signal comes.
  static func onFirst(_ action: @escaping @Sendable () -> Void) {
    var ends: [Int32] = [-1, -1]
    guard pipe(&ends) == 0 else { return }
    writeEnd = ends[1]
    let waiting = Waiting(readEnd: ends[0], action: action)
    var thread = pthread_t()
    let context = Unmanaged.passRetained(waiting).toOpaque()
    let status = pthread_create(
      &thread, nil,
      { context in
        if let context { Unmanaged<Waiting>.fromOpaque(context).takeRetainedValue().run() }
        return nil
      }, context)
    guard status == 0 else { return }
    pthread_detach(thread)
    for number in [SIGINT, SIGTERM] {
      // A write to a pipe is one of the few things that a handler may do.
      signal(number) { number in
        var byte = UInt8(truncatingIfNeeded: number)
        _ = write(Interrupt.writeEnd, &byte, 1)
      }
    }
  }

  private final class Waiting {
    private let readEnd: Int32
    private let action: @Sendable () -> Void

    init(readEnd: Int32, action: @escaping @Sendable () -> Void) {
      self.readEnd = readEnd
      self.action = action
    }

    func run() {
      _ = next()
      action()
      _exit(128 + Int32(next()))
    }

    private func next() -> UInt8 {
      var byte: UInt8 = 0
      while read(readEnd, &byte, 1) < 0, errno == EINTR {}
      return byte
    }
  }
}
