/// Numbers with units, the way people read them.
enum Quantity {
  /// Three significant digits: `840 µs`, `1.24 ms`, `2.50 s`, `3 min 20 s`.
  static func duration(_ duration: Duration) -> String {
    let nanoseconds = Double(duration.nanoseconds)
    switch nanoseconds {
    case ..<0: return "–"
    case ..<1_000: return "\(Int(nanoseconds)) ns"
    case ..<999_500: return digits(nanoseconds / 1_000) + " µs"
    case ..<999_500_000: return digits(nanoseconds / 1_000_000) + " ms"
    case ..<60_000_000_000: return digits(nanoseconds / 1_000_000_000) + " s"
    default: return long(Int64(nanoseconds / 1_000_000_000))
    }
  }

  static func digits(_ number: Double) -> String {
    if number >= 100 { return "\(Int(number.rounded()))" }
    let scale: Double = number >= 10 ? 10 : 100
    let scaled = Int((number * scale).rounded())
    let fraction = String(scaled % Int(scale))
    let width = number >= 10 ? 1 : 2
    return "\(scaled / Int(scale))." + String(repeating: "0", count: max(0, width - fraction.count))
      + fraction
  }

  private static func long(_ seconds: Int64) -> String {
    switch seconds {
    case ..<3600: "\(seconds / 60) min \(seconds % 60) s"
    case ..<86400: "\(seconds / 3600) h \(seconds % 3600 / 60) min"
    default: "\(seconds / 86400) d \(seconds % 86400 / 3600) h"
    }
  }

  /// `1 234 567` with thin gaps is hard to copy: commas it is.
  static func count(_ number: Int64) -> String {
    guard abs(number) >= 10_000 else { return String(number) }
    var out: [Character] = []
    for (index, digit) in String(number.magnitude).reversed().enumerated() {
      if index > 0, index % 3 == 0 { out.append(",") }
      out.append(digit)
    }
    return (number < 0 ? "-" : "") + String(out.reversed())
  }

  static func bytes(_ number: Int64) -> String {
    var value = Double(number)
    for unit in ["bytes", "KiB", "MiB", "GiB"] {
      if value < 1024 {
        return unit == "bytes" ? "\(number) \(number == 1 ? "byte" : unit)" : digits(value) + " \(unit)"
      }
      value /= 1024
    }
    return digits(value) + " TiB"
  }

  /// `2`, `500ms`, `1.5s`, `2m`, `1h`: seconds unless a unit says otherwise.
  static func duration(parsing text: String) -> Duration? {
    let units: [(String, Double)] = [
      ("ms", 0.001), ("us", 0.000_001), ("µs", 0.000_001), ("s", 1), ("m", 60), ("h", 3600),
    ]
    var number = text
    var factor = 1.0
    for (unit, seconds) in units where text.hasSuffix(unit) {
      number = String(text.dropLast(unit.count))
      factor = seconds
      break
    }
    guard let value = Double(number), value.isFinite, value >= 0, value * factor < 1e9,
      number.utf8.allSatisfy({ $0.isASCIIDigit || $0 == .dot })
    else { return nil }
    return .nanoseconds(Int64((value * factor * 1e9).rounded()))
  }
}

extension Duration {
  var nanoseconds: Int64 { components.seconds * 1_000_000_000 + components.attoseconds / 1_000_000_000 }
  var seconds: Double { Double(nanoseconds) / 1e9 }
}
