/// Where a request goes, by its path: `/SERVICE/PROCEDURE`, whichever of the protocols over HTTP it is of.
package struct HTTPPath: Hashable, Sendable {
  package var service: String
  package var procedure: String

  /// Nil where a path is anything but two parts that are not empty.
  package init?(_ path: some Collection<UInt8>) {
    let slash = UInt8(ascii: "/")
    guard path.first == slash else { return nil }
    let rest = path.dropFirst()
    guard let middle = rest.firstIndex(of: slash) else { return nil }
    let first = rest[..<middle]
    let second = rest[rest.index(after: middle)...]
    guard !first.isEmpty, !second.isEmpty, !second.contains(slash), let service = Self.name(first),
      let procedure = Self.name(second)
    else { return nil }
    self.service = service
    self.procedure = procedure
  }

  private static func name(_ part: some Collection<UInt8>) -> String? {
    guard part.contains(UInt8(ascii: "%")) else { return String(validating: part, as: UTF8.self) }
    return PercentCoding.decode(part).flatMap { String(validating: $0, as: UTF8.self) }
  }
}
