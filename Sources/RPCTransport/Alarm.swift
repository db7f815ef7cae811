internal import CLinux
internal import Glibc
internal import RPCSystem

/// Wakes a loop that sleeps, when its next timer is due. A timeout for each wait would have the kernel start and
/// stop a timer each time; this one is set again only where an earlier time is wanted than it is set to. So it
/// may wake a loop too early, which then sleeps on, and never too late.
internal struct Alarm: ~Copyable {
  internal let descriptor: Descriptor
  /// When it goes off, on the loop's clock; the end of time while it is not set.
  private var due = UInt64.max

  init() throws(SystemError) {
    let raw = timerfd_create(CLOCK_MONOTONIC, Int32(TFD_CLOEXEC | TFD_NONBLOCK))
    guard raw >= 0 else { throw .last("timerfd_create") }
    descriptor = Descriptor(raw)
  }

  /// Sees to it that the loop wakes at `time` at the latest.
  @inline(__always)
  mutating func set(by time: UInt64) {
    if time < due { set(to: time) }
  }

  private mutating func set(to time: UInt64) {
    var setting = itimerspec()
    setting.it_value.tv_sec = Int(time / 1_000_000_000)
    setting.it_value.tv_nsec = Int(time % 1_000_000_000)
    let result = timerfd_settime(descriptor.raw, Int32(TFD_TIMER_ABSTIME), &setting, nil)
    precondition(result == 0, "an alarm takes every time of its clock")
    due = time
  }

  /// It went off. Nothing is read: the kernel reports each time once, and setting it again clears what it counts.
  mutating func wentOff() {
    due = .max
  }
}
