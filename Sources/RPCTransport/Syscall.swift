internal import CLinux
internal import Glibc

/// The result of moving bytes. Would-block is an outcome, not an error.
public enum Transfer: Equatable, Sendable {
  case moved(Int)
  case wouldBlock
  /// The peer ended its side (of receiving only).
  case ended
  case failed(errno: Int32)
}

/// The system calls of the data path, with EINTR repeated in one place.
public enum Syscall {
  @inline(__always)
  public static func receive(_ descriptor: Int32, _ buffer: UnsafeMutableRawBufferPointer) -> Transfer {
    while true {
      let count = rpc_receive(descriptor, buffer.baseAddress, buffer.count)
      if count > 0 { return .moved(count) }
      if count == 0 { return .ended }
      // errno is read before anything else can change it.
      let code = errno
      if code == EINTR { continue }
      return code == EAGAIN ? .wouldBlock : .failed(errno: code)
    }
  }

  @inline(__always)
  public static func send(_ descriptor: Int32, _ buffer: UnsafeRawBufferPointer) -> Transfer {
    while true {
      // MSG_NOSIGNAL: a peer that is gone is an error of this connection, not a signal to the process.
      let count = rpc_send(descriptor, buffer.baseAddress, buffer.count, Int32(MSG_NOSIGNAL))
      if count >= 0 { return .moved(count) }
      let code = errno
      if code == EINTR { continue }
      return code == EAGAIN ? .wouldBlock : .failed(errno: code)
    }
  }

  /// Nanoseconds of the monotonic clock.
  @inline(__always)
  public static func monotonicNanoseconds() -> UInt64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return UInt64(time.tv_sec) &* 1_000_000_000 &+ UInt64(time.tv_nsec)
  }

  /// Nanoseconds since 1970. A clock that was never set may well stand before that.
  public static func wallNanoseconds() -> Int64 {
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    return nanoseconds(Int64(time.tv_sec), Int64(time.tv_nsec))
  }

  /// Milliseconds since 1970, negative before.
  public static func wallMilliseconds() -> Int64 {
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
