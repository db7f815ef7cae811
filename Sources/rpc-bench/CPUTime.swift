import Glibc

/// CPU time as the operating system accounts it, all threads together, in nanoseconds.
enum CPUTime {
  static func ofThisProcess() -> UInt64 {
    read(CLOCK_PROCESS_CPUTIME_ID) ?? 0
  }

  /// Nil where there is no such process.
  static func of(process: pid_t) -> UInt64? {
    var clock = clockid_t()
    guard clock_getcpuclockid(process, &clock) == 0 else { return nil }
    return read(clock)
  }

  private static func read(_ clock: clockid_t) -> UInt64? {
    var time = timespec()
    guard clock_gettime(clock, &time) == 0 else { return nil }
    return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
  }
}
