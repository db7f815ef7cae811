internal import RPCTransport
internal import RPCWire

/// The time of a line as text, `2026-11-23T02:59:31.123Z`, worked out once per millisecond.
internal struct LogTimestamp {
  /// 24 bytes of ASCII.
  private(set) var text: [UInt8] = Array("1970-01-01T00:00:00.000Z".utf8)
  private var millisecond = 0
  private var second = 0

  /// - Parameter nanoseconds: since 1970, negative before.
  mutating func update(_ nanoseconds: Int64) {
    let now = Self.divided(Int(nanoseconds), by: 1_000_000).quotient
    guard now != millisecond else { return }
    millisecond = now
    let (seconds, rest) = Self.divided(now, by: 1000)
    if seconds != second {
      second = seconds
      writeSecond()
    }
    write(rest, digits: 3, at: 20)
  }

  /// Quotient and remainder, the remainder never negative.
  private static func divided(_ number: Int, by divisor: Int) -> (quotient: Int, remainder: Int) {
    let (quotient, remainder) = number.quotientAndRemainder(dividingBy: divisor)
    return remainder < 0 ? (quotient - 1, remainder + divisor) : (quotient, remainder)
  }

  private mutating func writeSecond() {
    let (days, time) = Self.divided(second, by: 86_400)
    let (year, month, day) = Self.date(daysSince1970: days)
    write(year, digits: 4, at: 0)
    write(month, digits: 2, at: 5)
    write(day, digits: 2, at: 8)
    write(time / 3600, digits: 2, at: 11)
    write(time / 60 % 60, digits: 2, at: 14)
    write(time % 60, digits: 2, at: 17)
  }

  private mutating func write(_ number: Int, digits: Int, at position: Int) {
    var rest = number
    for place in stride(from: position + digits - 1, through: position, by: -1) {
      text[place] = UInt8(ascii: "0") + UInt8(truncatingIfNeeded: rest % 10)
      rest /= 10
    }
  }

  /// The Gregorian date, counted in years that begin in March so that the leap day comes last.
  static func date(daysSince1970 days: Int) -> (year: Int, month: Int, day: Int) {
    // 719468 days lead from the first of March of year 0 to 1970; 146097 days are 400 years.
    let shifted = days + 719_468
    let era = shifted / 146_097
    let dayOfEra = shifted % 146_097
    let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let monthFromMarch = (5 * dayOfYear + 2) / 153
    let month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9
    return (
      year: yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month: month,
      day: dayOfYear - (153 * monthFromMarch + 2) / 5 + 1
    )
  }
}
