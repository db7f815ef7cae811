import RPCWire

/// A search through the history while its pattern is typed, as Ctrl-R does it. Pure.
struct IncrementalSearch: Sendable {
  enum Direction: Sendable {
    case older
    case newer
  }

  private struct Step {
    var pattern: String
    /// The entry that was found; `entries.count` before any was.
    var index: Int
    var isFailing: Bool
  }

  private let entries: [String]
  private var direction: Direction
  /// Each key that was pressed, so that Backspace goes back exactly.
  private var steps: [Step]

  /// - Parameter entries: oldest first.
  init(_ entries: [String], _ direction: Direction) {
    self.entries = entries
    self.direction = direction
    steps = [Step(pattern: "", index: entries.count, isFailing: false)]
  }

  private var now: Step { steps[steps.count - 1] }
  var pattern: String { now.pattern }
  /// Whether nothing holds the pattern any more; the last entry that did stays.
  var isFailing: Bool { now.isFailing }
  /// What was found, nil as long as nothing was searched for.
  var match: String? { entries.indices.contains(now.index) ? entries[now.index] : nil }

  /// ``(reverse-i-search)`add': math.add 1 2``, for one row.
  var text: String {
    let name = direction == .older ? "reverse-i-search" : "i-search"
    let shown = (match ?? "").replacing("\n", with: "⏎")
    return "(\(isFailing ? "failed " : "")\(name))`\(pattern)': \(shown)"
  }

  /// One more letter of the pattern.
  mutating func add(_ letter: Unicode.Scalar) {
    var pattern = pattern
    pattern.unicodeScalars.append(letter)
    find(pattern, from: now.index)
  }

  /// The next entry that holds the pattern, beyond the one that was found.
  mutating func next(_ direction: Direction) {
    self.direction = direction
    guard !pattern.isEmpty else { return }
    var index = now.index
    // The same command again is not worth a key.
    repeat {
      index += direction == .older ? -1 : 1
    } while entries.indices.contains(index)
      && entries[index].hasSameUTF8(as: match ?? "")
    find(pattern, from: index)
  }

  /// Takes the last key back. False when there is none.
  mutating func removeLast() -> Bool {
    guard steps.count > 1 else { return false }
    steps.removeLast()
    return true
  }

  private mutating func find(_ pattern: String, from start: Int) {
    var index = direction == .older ? min(start, entries.count - 1) : max(0, start)
    while entries.indices.contains(index), !entries[index].utf8.contains(pattern.utf8) {
      index += direction == .older ? -1 : 1
    }
    let isFound = entries.indices.contains(index)
    steps.append(Step(pattern: pattern, index: isFound ? index : now.index, isFailing: !isFound))
  }
}

extension String.UTF8View {
  fileprivate func contains(_ part: String.UTF8View) -> Bool { firstRange(of: part) != nil }
}
