import RPCWire

/// The commands of before, and where the arrows are among them. Pure.
struct PromptHistory: Sendable {
  private(set) var entries: [String] = []
  /// Where the arrows are; `entries.count` is the line being typed.
  private var index = 0
  /// What was typed before the arrows were used: what stays, and what the entries must begin with.
  private var draft = ""
  /// What the arrows put into the line last; once it is edited the search begins again.
  private var shown: String?

  /// Adds an entry; false when it is the one before.
  mutating func add(_ line: String) -> Bool {
    guard !line.isEmpty, !entries.last.hasSameUTF8(as: line) else { return false }
    entries.append(line)
    if entries.count > ShellLimits.historyEntriesMax { entries.removeFirst(entries.count / 10) }
    return true
  }

  /// A new line is being typed.
  mutating func begin() {
    index = entries.count
    shown = nil
    draft = ""
  }

  /// The next older entry that begins as the line did, nil when there is none.
  mutating func previous(_ line: String) -> String? { step(-1, line) }

  /// The next newer one; behind the last, what was being typed.
  mutating func next(_ line: String) -> String? {
    if let found = step(1, line) { return found }
    guard index < entries.count else { return nil }
    index = entries.count
    shown = draft
    return draft
  }

  private mutating func step(_ direction: Int, _ line: String) -> String? {
    if !shown.hasSameUTF8(as: line) {
      draft = line
      index = entries.count
    }
    var candidate = index + direction
    while entries.indices.contains(candidate) {
      // Entries that look the same as what is there would be no step.
      if entries[candidate].hasPrefix(draft), !entries[candidate].hasSameUTF8(as: line) {
        index = candidate
        shown = entries[candidate]
        return entries[candidate]
      }
      candidate += direction
    }
    return nil
  }
}
