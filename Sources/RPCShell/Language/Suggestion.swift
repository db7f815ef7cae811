import RPCProcedures

/// "Did you mean": the nearest known name to one that is not known.
enum Suggestion {
  /// ` (did you mean 'x'?)`, or nothing when no name is near.
  static func text(for name: String, among known: some Sequence<String>) -> String {
    guard let nearest = Spelling.nearest(to: name, in: known) else { return "" }
    return " (did you mean '\(nearest)'?)"
  }
}
