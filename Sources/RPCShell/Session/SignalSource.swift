import CLinux
import Glibc

/// Signals as events of the main thread. They are blocked as soon as this is made, for every thread that is
/// started afterwards, so that none interrupts anything anywhere.
final class SignalSource: Sendable {
  enum Event: Hashable, Sendable {
    case signal(Int32)
    /// `wake` was called.
    case woken
  }

  /// To be polled together with other descriptors.
  let signalDescriptor: Int32
  let wakeDescriptor: Int32

  init(_ signals: [Int32]) {
    var set = sigset_t()
    sigemptyset(&set)
    for signal in signals { sigaddset(&set, signal) }
    pthread_sigmask(SIG_BLOCK, &set, nil)
    signalDescriptor = signalfd(-1, &set, Int32(SFD_CLOEXEC | SFD_NONBLOCK))
    wakeDescriptor = eventfd(0, Int32(EFD_CLOEXEC | EFD_NONBLOCK))
    precondition(signalDescriptor >= 0 && wakeDescriptor >= 0, "no descriptors left at the start")
  }

  deinit {
    close(signalDescriptor)
    close(wakeDescriptor)
  }

  /// Wakes the main thread, from any thread.
  func wake() {
    var one: UInt64 = 1
    _ = write(wakeDescriptor, &one, 8)
  }

  /// Waits for the next event.
  func wait() -> Event {
    while true {
      if let event = next() { return event }
      var entries = [
        pollfd(fd: signalDescriptor, events: Int16(POLLIN), revents: 0),
        pollfd(fd: wakeDescriptor, events: Int16(POLLIN), revents: 0),
      ]
      _ = poll(&entries, 2, -1)
    }
  }

  /// An event that has happened already, nil for none.
  func next() -> Event? {
    var info = signalfd_siginfo()
    let size = MemoryLayout<signalfd_siginfo>.size
    if read(signalDescriptor, &info, size) == size { return .signal(Int32(info.ssi_signo)) }
    var count: UInt64 = 0
    return read(wakeDescriptor, &count, 8) == 8 ? .woken : nil
  }
}
