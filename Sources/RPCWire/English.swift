/// Numbers with their nouns.
package enum English {
  /// `1 source`, `2 sources`.
  package static func count(_ count: Int, _ noun: String) -> String {
    "\(count) \(noun)\(count == 1 ? "" : "s")"
  }

  /// `2 of 3 servers`, `1 server`.
  package static func share(_ part: Int, of whole: Int, _ noun: String) -> String {
    part == whole ? count(whole, noun) : "\(part) of \(count(whole, noun))"
  }

  /// `a, b and 3 more`: the first of a list that may be long.
  package static func list(_ items: [String], max: Int) -> String {
    let more = items.count - max
    return items.prefix(max).joined(separator: ", ") + (more > 0 ? " and \(more) more" : "")
  }
}
