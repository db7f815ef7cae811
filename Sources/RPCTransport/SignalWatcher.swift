internal import CLinux
internal import Glibc
package import RPCSystem

/// Turns signals into events of a loop. The signals must be blocked in every thread, which `block` does when
/// it runs before any other thread is started.
package final class SignalWatcher: EventHandler {
  private let descriptor: Descriptor
  private let handler: (Int32) -> Void
  private var watch: Watch?

  /// Blocks `signals` for the calling thread and those it starts from now on.
  package static func block(_ signals: [Int32]) {
    var set = mask(signals)
    pthread_sigmask(SIG_BLOCK, &set, nil)
  }

  package init(
    _ signals: [Int32], on loop: EventLoop, handler: @escaping (Int32) -> Void
  ) throws(SystemError) {
    var set = Self.mask(signals)
    let raw = signalfd(-1, &set, Int32(SFD_CLOEXEC | SFD_NONBLOCK))
    guard raw >= 0 else { throw .last("signalfd") }
    descriptor = Descriptor(raw)
    self.handler = handler
    watch = try loop.watch(descriptor.raw, .readable, self)
  }

  private static func mask(_ signals: [Int32]) -> sigset_t {
    var set = sigset_t()
    sigemptyset(&set)
    for signal in signals { sigaddset(&set, signal) }
    return set
  }

  package func ready(_ readiness: Readiness, on loop: EventLoop) {
    var info = signalfd_siginfo()
    while Glibc.read(descriptor.raw, &info, MemoryLayout<signalfd_siginfo>.size)
      == MemoryLayout<signalfd_siginfo>.size
    {
      handler(Int32(info.ssi_signo))
    }
  }
}
