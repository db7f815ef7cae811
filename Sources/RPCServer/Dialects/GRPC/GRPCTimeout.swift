/// `grpc-timeout`: up to eight digits and a unit.
package enum GRPCTimeout {
  /// What is said where it is none.
  static let whatItIs = "'grpc-timeout' is up to 8 digits and one of H, M, S, m, u, n"

  /// Nanoseconds, at least 1, or nil where the text is none.
  package static func nanoseconds(_ text: UnsafeBufferPointer<UInt8>) -> UInt64? {
    guard let unit = text.last, text.count >= 2, text.count <= GRPCLimits.timeoutDigitsMax + 1 else {
      return nil
    }
    var value: UInt64 = 0
    for digit in text.dropLast() {
      guard (48...57).contains(digit) else { return nil }
      value = value * 10 + UInt64(digit - 48)
    }
    let factor: UInt64
    switch unit {
    case UInt8(ascii: "H"): factor = 3_600_000_000_000
    case UInt8(ascii: "M"): factor = 60_000_000_000
    case UInt8(ascii: "S"): factor = 1_000_000_000
    case UInt8(ascii: "m"): factor = 1_000_000
    case UInt8(ascii: "u"): factor = 1000
    case UInt8(ascii: "n"): factor = 1
    default: return nil
    }
    // 99999999H are 11,000 years: more than the clock counts.
    let (product, isBeyond) = value.multipliedReportingOverflow(by: factor)
    return max(1, isBeyond ? farNanoseconds : min(product, farNanoseconds))
  }

  /// A year and more: no timer is set further ahead.
  private static let farNanoseconds: UInt64 = 400 * 86_400 * 1_000_000_000
}
