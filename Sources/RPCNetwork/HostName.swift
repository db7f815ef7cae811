/// The names of hosts, as `ip` of a server may hold one.
package enum HostName {
  /// Labels of letters, digits, hyphens and underscores, with or without the dot that ends a complete name.
  ///
  /// What ends in a number is a mistyped address rather than a name: resolvers read `0x7f.0.0.1` and `127.1` as
  /// addresses that nobody meant.
  package static func isValid(_ text: String) -> Bool {
    let name = withoutFinalDot(text)
    guard (1...253).contains(name.utf8.count), !looksNumeric(text) else { return false }
    return name.utf8.split(separator: dot, omittingEmptySubsequences: false).allSatisfy { label in
      (1...63).contains(label.count) && label.first != hyphen && label.last != hyphen
        && label.allSatisfy(isAllowed)
    }
  }

  /// Whether the last label is a number, in decimal or hexadecimal.
  package static func looksNumeric(_ text: String) -> Bool {
    guard let last = withoutFinalDot(text).utf8.split(separator: dot).last else { return false }
    if last.allSatisfy({ (0x30...0x39).contains($0) }) { return true }
    let digits = Substring(last).lowercased()
    return digits.hasPrefix("0x") && digits.dropFirst(2).allSatisfy(\.isHexDigit)
  }

  package static func isLocalhost(_ text: String) -> Bool { canonical(text) == "localhost" }

  /// Equal for names of one host, in whatever case and with or without the final dot.
  package static func canonical(_ text: String) -> String { withoutFinalDot(text).lowercased() }

  private static func isAllowed(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
      UInt8(ascii: "0")...UInt8(ascii: "9"), underscore, hyphen:
      true
    default: false
    }
  }

  private static let dot = UInt8(ascii: ".")
  private static let hyphen = UInt8(ascii: "-")
  private static let underscore = UInt8(ascii: "_")

  private static func withoutFinalDot(_ text: String) -> Substring {
    text.utf8.last == dot ? text.dropLast() : text[...]
  }
}
