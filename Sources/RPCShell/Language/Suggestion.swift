import RPCProcedures

/// "Did you mean": the nearest known name to one that is not known.
enum Suggestion {
  /// ` (did you mean 'x'?)`, or nothing when no name is near.
  static func text(for name: String, among known: some Sequence<String>) -> String {
    guard let nearest = Spelling.nearest(to: name, in: known) else { return "" }
    return " (did you mean '\(nearest)'?)"
  }

  /// The nearest name, or all that there are where none is near and they are few.
  static func orAll(for name: String, among known: [String]) -> String {
    let nearest = text(for: name, among: known)
    guard nearest.isEmpty, !known.isEmpty, known.count <= ShellLimits.namesListed else { return nearest }
    return ": there \(known.count == 1 ? "is" : "are") \(list(known))"
  }

  /// `a`, `a and b`, `a, b and c`.
  static func list(_ names: [String], _ conjunction: String = "and") -> String {
    guard let last = names.last, names.count > 1 else { return names.last ?? "" }
    return "\(names.dropLast().joined(separator: ", ")) \(conjunction) \(last)"
  }
}
