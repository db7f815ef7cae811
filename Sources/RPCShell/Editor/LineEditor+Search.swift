import CLibEdit
import Glibc

/// Ctrl-R and Ctrl-S. The search has the rows of the prompt to itself while it goes on; afterwards the line is
/// drawn again.
extension LineEditor {
  func search(_ direction: IncrementalSearch.Direction) -> UInt8 {
    var search = IncrementalSearch(history.entries, direction)
    write(display.erase(columns: columns))
    var wasResized = false
    var accepted: String?
    reading: while true {
      draw(search)
      switch nextSearchKey() {
      case .resized:
        wasResized = true
      // The terminal has wrapped the row, or not: what is below and to the right of its start is ours.
      case .interrupted: break reading
      case .key(let key):
        switch key {
        case "\u{12}": search.next(.older)
        case "\u{13}": search.next(.newer)
        case "\u{7f}", "\u{8}": if !search.removeLast() { write("\u{7}") }
        case "\u{7}": break reading
        case "\u{1b}":
          accepted = search.match
          takeEscape()
          break reading
        case _ where key.value < 0x20:
          // Enter runs what was found; any other key of the editor goes on with it.
          accepted = search.match
          input.push(key)
          break reading
        default: search.add(key)
        }
      case .end:
        accepted = search.match
        break reading
      }
      if search.isFailing { write("\u{7}") }
    }
    write("\r\u{1b}[J")
    if let accepted { replaceLine(accepted) }
    if wasResized { el_resize(edit) }
    return UInt8(CC_NORM)
  }

  private enum SearchKey {
    case key(Unicode.Scalar)
    case resized
    /// By a signal, which waits in `pendingSignals`.
    case interrupted
    case end
  }

  private func draw(_ search: IncrementalSearch) {
    write("\r\u{1b}[J" + TextWidth.cut(TextWidth.harmless(search.text), to: columns - 1))
  }

  private func nextSearchKey() -> SearchKey {
    while true {
      if let scalar = input.next() { return .key(scalar) }
      if input.isAtEnd { return .end }
      var entries = [
        pollfd(fd: 0, events: Int16(POLLIN), revents: 0),
        pollfd(fd: signals.signalDescriptor, events: Int16(POLLIN), revents: 0),
      ]
      guard poll(&entries, 2, -1) > 0 else { continue }
      if entries[1].revents != 0, case .signal(let number)? = signals.next() {
        if number == SIGWINCH { return .resized }
        guard number == SIGINT || number == SIGTERM || number == SIGHUP || number == SIGTSTP else { continue }
        pendingSignals.append(number)
        return .interrupted
      }
      if entries[0].revents != 0 { input.fill(from: 0) }
    }
  }

  /// Escape alone ends the search. With what a key such as an arrow sends behind it, that key goes on with the line.
  private func takeEscape() {
    var entry = pollfd(fd: 0, events: Int16(POLLIN), revents: 0)
    if !input.hasInput, poll(&entry, 1, Self.escapeMilliseconds) > 0 { input.fill(from: 0) }
    guard let next = input.next() else { return }
    input.push(next)
    if next == "[" || next == "O" { input.push("\u{1b}") }
  }

  /// How long the rest of a key may be behind its Escape.
  private static let escapeMilliseconds: Int32 = 50
}
