import Glibc

/// Points in time as people read them.
enum Timestamp {
  /// `2026-05-01 12:00:03` in the local time zone.
  static func local(milliseconds: Int64) -> String {
    var seconds = time_t(milliseconds / 1000)
    var parts = tm()
    localtime_r(&seconds, &parts)
    let (date, clock) = (
      [Int(parts.tm_year) + 1900, Int(parts.tm_mon) + 1, Int(parts.tm_mday)],
      [Int(parts.tm_hour), Int(parts.tm_min), Int(parts.tm_sec)]
    )
    return date.map(twoDigits).joined(separator: "-") + " " + clock.map(twoDigits).joined(separator: ":")
  }

  static func now() -> String {
    var now = timespec()
    clock_gettime(CLOCK_REALTIME, &now)
    return local(milliseconds: Int64(now.tv_sec) * 1000)
  }

  private static func twoDigits(_ number: Int) -> String { number < 10 ? "0\(number)" : "\(number)" }
}
