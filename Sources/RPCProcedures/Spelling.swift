/// Finds the name somebody meant: the nearest by Damerau-Levenshtein distance (optimal string alignment).
package enum Spelling {
  /// The nearest of `names`, or nil where none is near enough to suggest.
  package static func nearest(to name: String, in names: some Sequence<String>) -> String? {
    nearestFew(to: name, in: names, most: 1).first
  }

  /// The nearest few of `names`, nearest first.
  package static func nearestFew(
    to name: String, in names: some Sequence<String>, most: Int = 3
  ) -> [String] {
    let wanted = Array(name.lowercased().utf8.prefix(64))
    // A third of the letters may be wrong, one at least.
    let limit = max(1, wanted.count / 3)
    return
      names
      .map { (name: $0, distance: distance(wanted, Array($0.lowercased().utf8.prefix(64)))) }
      .filter {
        $0.distance <= limit || (wanted.count >= 2 && $0.name.lowercased().hasPrefix(name.lowercased()))
      }
      .sorted { ($0.distance, $0.name) < ($1.distance, $1.name) }
      .prefix(most)
      .map(\.name)
  }

  /// Insertions, deletions, substitutions and swaps of neighbours that lead from one name to the other.
  package static func distance(_ left: [UInt8], _ right: [UInt8]) -> Int {
    if left.isEmpty || right.isEmpty { return max(left.count, right.count) }
    var beforeLast = [Int](repeating: 0, count: right.count + 1)
    var last = Array(0...right.count)
    for row in 1...left.count {
      var current = [Int](repeating: 0, count: right.count + 1)
      current[0] = row
      for column in 1...right.count {
        let cost = left[row - 1] == right[column - 1] ? 0 : 1
        current[column] = min(last[column] + 1, current[column - 1] + 1, last[column - 1] + cost)
        if row > 1, column > 1, left[row - 1] == right[column - 2], left[row - 2] == right[column - 1] {
          current[column] = min(current[column], beforeLast[column - 2] + 1)
        }
      }
      beforeLast = last
      last = current
    }
    return last[right.count]
  }
}
