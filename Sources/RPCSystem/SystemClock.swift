internal import Glibc

/// The times that the operating system tells.
package enum SystemClock {
  /// Nanoseconds of the monotonic clock.
  @inline(__always)
  package static func monotonicNanoseconds() -> UInt64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return UInt64(time.tv_sec) &* 1_000_000_000 &+ UInt64(time.tv_nsec)
  }

  /// Nanoseconds since 1970. A clock that was never set may well stand before that.
  package static func wallNanoseconds() -> Int64 {
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    return nanoseconds(Int64(time.tv_sec), Int64(time.tv_nsec))
  }

  /// Milliseconds since 1970, negative before.
  package static func wallMilliseconds() -> Int64 {
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    return Int64(time.tv_sec) &* 1000 &+ Int64(time.tv_nsec) / 1_000_000
  }

  /// A time of the wall clock; one beyond the years 1678 to 2262, which a number of nanoseconds cannot tell, is the
  /// nearest that it can.
  internal static func nanoseconds(_ seconds: Int64, _ rest: Int64) -> Int64 {
    let (whole, isBeyond) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
    let (sum, isAbove) = whole.addingReportingOverflow(rest)
    guard isBeyond || isAbove else { return sum }
    return seconds < 0 ? .min : .max
  }
}
