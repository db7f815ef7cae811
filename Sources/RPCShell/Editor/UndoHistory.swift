import RPCWire

/// What the line being typed was before each change. Letters typed one after the other are one change, up to the
/// end of a word. Pure.
struct UndoHistory: Sendable {
  struct State: Hashable, Sendable {
    @ComparedByUTF8 var text: String
    var cursor: Int
  }

  private var states = [State(text: "", cursor: 0)]
  private var isTyping = false

  /// A new line is being typed.
  mutating func begin() { self = UndoHistory() }

  /// The line as it is now; nothing happens where only the cursor has moved.
  mutating func note(_ text: String, _ cursor: Int) {
    guard let last = states.last, !last.text.hasSameUTF8(as: text) else {
      states[states.count - 1].cursor = cursor
      return
    }
    let isLetter = Self.isLetter(text, cursor, after: last)
    let state = State(text: text, cursor: cursor)
    if isLetter, isTyping { states[states.count - 1] = state } else { states.append(state) }
    isTyping = isLetter
    if states.count > ShellLimits.undoStatesMax {
      states.removeFirst(states.count - ShellLimits.undoStatesMax)
    }
  }

  /// What the line was before the last change, nil when there was none.
  mutating func undo() -> State? {
    guard states.count > 1 else { return nil }
    states.removeLast()
    isTyping = false
    return states.last
  }

  /// Whether one letter that is not a space was put in at the cursor.
  private static func isLetter(_ text: String, _ cursor: Int, after last: State) -> Bool {
    let (new, old) = (text.unicodeScalars, last.text.unicodeScalars)
    guard cursor == last.cursor + 1, new.count == old.count + 1 else { return false }
    return new.dropFirst(last.cursor).first != " "
  }
}
