import CLibEdit
import Glibc

/// The editor's own functions and the keys they are on.
extension LineEditor {
  func addKeys() {
    add("rpc-complete", "Complete the word before the cursor") { edit, _ in
      LineEditor.at(edit)?.complete() ?? 0
    }
    add("rpc-older", "The entry before that begins like this") { edit, _ in LineEditor.at(edit)?.older() ?? 0
    }
    add("rpc-newer", "The entry after that begins like this") { edit, _ in LineEditor.at(edit)?.newer() ?? 0 }
    add("rpc-paste", "Text from the clipboard") { edit, _ in LineEditor.at(edit)?.paste() ?? 0 }
    add("rpc-search-older", "Search the history backwards") { edit, _ in
      LineEditor.at(edit)?.search(.older) ?? 0
    }
    add("rpc-search-newer", "Search the history forwards") { edit, _ in
      LineEditor.at(edit)?.search(.newer) ?? 0
    }
    add("rpc-last-argument", "The last word of the entry before") { edit, _ in
      LineEditor.at(edit)?.insertLastArgument() ?? 0
    }
    add("rpc-edit", "Edit the line in $EDITOR") { edit, _ in LineEditor.at(edit)?.editElsewhere() ?? 0 }
    add("rpc-clear-screen", "Clear the screen") { edit, _ in LineEditor.at(edit)?.clearScreen() ?? 0 }
    add("rpc-undo", "Take the last change back") { edit, _ in LineEditor.at(edit)?.takeBack() ?? 0 }
    bind("^I", "rpc-complete")
    bind("^L", "rpc-clear-screen")
    for key in ["\\e.", "\\e_"] { bind(key, "rpc-last-argument") }
    bind("^X^E", "rpc-edit")
    for key in ["\\037", "^X^U"] { bind(key, "rpc-undo") }
    for key in ["\\e[A", "\\eOA", "^P"] { bind(key, "rpc-older") }
    for key in ["\\e[B", "\\eOB", "^N"] { bind(key, "rpc-newer") }
    bind("\\e[200~", "rpc-paste")
    bind("^R", "rpc-search-older")
    bind("^S", "rpc-search-newer")
    bind("^W", "ed-delete-prev-word")
    for key in ["\\e[1;5C", "\\e[1;3C", "\\e[5C", "\\eOc"] { bind(key, "em-next-word") }
    for key in ["\\e[1;5D", "\\e[1;3D", "\\e[5D", "\\eOd"] { bind(key, "ed-prev-word") }
    for key in ["\\e[H", "\\eOH", "\\e[1~", "\\e[7~"] { bind(key, "ed-move-to-beg") }
    for key in ["\\e[F", "\\eOF", "\\e[4~", "\\e[8~"] { bind(key, "ed-move-to-end") }
    bind("\\e[3~", "ed-delete-next-char")
    bind("\\e[3;5~", "em-delete-next-word")
    bind("\\e^?", "ed-delete-prev-word")
  }

  private func add(_ name: String, _ help: String, _ function: @escaping rpc_edit_function) {
    // libedit keeps the pointers.
    let (name, help) = (WideText(name), WideText(help))
    kept += [name, help]
    rpc_edit_add_function(edit, name.pointer, help.pointer, function)
  }

  private func bind(_ key: String, _ function: String) {
    WideText.with(key) { key in WideText.with(function) { function in _ = rpc_edit_bind(edit, key, function) }
    }
  }

  private func clearScreen() -> UInt8 {
    display.forget()
    write("\u{1b}[H\u{1b}[2J")
    return UInt8(CC_NORM)
  }

  // MARK: History

  private func older() -> UInt8 {
    // Inside a line of several rows the arrow moves in it first.
    if moveToRowAbove() { return UInt8(CC_CURSOR) }
    if reopenRowsAbove() { return UInt8(CC_NORM) }
    guard let entry = history.previous(line.text) else { return UInt8(CC_ERROR) }
    replaceLine(entry)
    return UInt8(CC_REFRESH)
  }

  private func newer() -> UInt8 {
    if moveToRowBelow() { return UInt8(CC_CURSOR) }
    guard let entry = history.next(line.text) else { return UInt8(CC_ERROR) }
    replaceLine(entry)
    return UInt8(CC_REFRESH)
  }

  private func moveToRowAbove() -> Bool {
    let (text, cursor, _) = line
    let scalars = Array(text.unicodeScalars)
    guard let end = scalars[..<cursor].lastIndex(of: "\n") else { return false }
    let start = scalars[..<end].lastIndex(of: "\n").map { $0 + 1 } ?? 0
    el_cursor(edit, Int32(min(start + cursor - end - 1, end) - cursor))
    return true
  }

  private func moveToRowBelow() -> Bool {
    let (text, cursor, _) = line
    let scalars = Array(text.unicodeScalars)
    guard let end = scalars[cursor...].firstIndex(of: "\n") else { return false }
    let start = scalars[..<cursor].lastIndex(of: "\n").map { $0 + 1 } ?? 0
    let last = scalars[(end + 1)...].firstIndex(of: "\n") ?? scalars.count
    el_cursor(edit, Int32(min(end + 1 + cursor - start, last) - cursor))
    return true
  }

  // MARK: Paste

  /// Everything up to the end mark, as text: no key in it does anything.
  private func paste() -> UInt8 {
    var text: [Unicode.Scalar] = []
    let mark = Array("\u{1b}[201~".unicodeScalars)
    var isTooLong = false
    while true {
      guard let scalar = nextPasted() else { break }
      text.append(scalar)
      if scalar == "~", text.suffix(mark.count).elementsEqual(mark) {
        text.removeLast(mark.count)
        break
      }
      if text.count > ShellLimits.promptBytesMax {
        isTooLong = true
        text.removeFirst(text.count - mark.count)
      }
    }
    var whole = String.UnicodeScalarView()
    if !isTooLong { whole.append(contentsOf: text) }
    let pasted = Self.cleaned(String(whole))
    guard !isTooLong, insert(pasted) else {
      tell("That is more than \(ShellLimits.promptBytesMax / 1024) KiB: put it into a file and write @file.")
      return UInt8(CC_NORM)
    }
    return UInt8(CC_REFRESH)
  }

  private func nextPasted() -> Unicode.Scalar? {
    while true {
      if let scalar = input.next() { return scalar }
      if input.isAtEnd { return nil }
      var entry = pollfd(fd: 0, events: Int16(POLLIN), revents: 0)
      // A terminal that loses the end mark must not hold the prompt for ever.
      guard poll(&entry, 1, 2000) > 0 else { return nil }
      input.fill(from: 0, most: 4096)
    }
  }

  /// Line ends as we have them, other control characters left out, no empty end.
  static func cleaned(_ text: String) -> String {
    let lines = text.replacing("\r\n", with: "\n").replacing("\r", with: "\n")
    let printable = lines.unicodeScalars.filter {
      $0 == "\n" || $0 == "\t" || $0.value >= 0x20 && $0.value != 0x7f
    }
    var result = String(String.UnicodeScalarView(printable)).replacing("\t", with: "  ")
    while result.last == "\n" { result.removeLast() }
    return result
  }

  // MARK: Completion

  private func complete() -> UInt8 {
    let before = above + textBeforeCursor
    let completion = advisor.complete(before)
    // What began in a row above is out of reach.
    guard completion.candidates.isEmpty || completion.start >= above.utf8.count else {
      return UInt8(CC_ERROR)
    }
    let texts = completion.texts
    guard let first = completion.candidates.first else { return UInt8(CC_ERROR) }
    let partial = String(decoding: before.utf8.dropFirst(completion.start), as: UTF8.self)
    if texts.count == 1 {
      // Pressed again on a whole name: its overloads.
      if partial == first.text, completion.candidates.count > 1 { return list(completion.candidates) }
      replace(partial, with: first.text + (first.isWhole && !isFollowedBySpace ? " " : ""))
      return UInt8(CC_REFRESH)
    }
    let common = completion.commonPrefix
    if common.count > partial.count, common.lowercased().hasPrefix(partial.lowercased()) {
      replace(partial, with: common)
      return UInt8(CC_REFRESH)
    }
    return list(completion.candidates)
  }

  private var isFollowedBySpace: Bool {
    let (text, cursor, count) = line
    return cursor < count && Array(text.unicodeScalars)[cursor] == " "
  }

  private func replace(_ partial: String, with text: String) {
    el_deletestr(edit, Int32(partial.unicodeScalars.count))
    insert(text)
  }

  private func list(_ candidates: [Candidate]) -> UInt8 {
    let size = Terminal.size(of: 1)
    let rows = CandidateList.rows(candidates, width: size.columns, style: advisor.style)
    let page = min(ShellLimits.candidateRowsMax, max(4, size.rows - 2))
    leaveLine()
    for (index, row) in rows.enumerated() {
      write(row + "\r\n")
      guard (index + 1) % page == 0, index + 1 < rows.count else { continue }
      write(advisor.style.paint("-- \(rows.count - index - 1) more: space, or q --", .dim))
      let answer = nextKey()
      write("\r\u{1b}[K")
      if answer == "q" || answer == "n" || answer == "\u{3}" || answer == "\u{1b}" || answer == nil { break }
    }
    return UInt8(CC_NORM)
  }

  /// The next key of a list; nil when it ends.
  private func nextKey() -> Unicode.Scalar? {
    while true {
      if let scalar = input.next() { return scalar }
      if input.isAtEnd { return nil }
      var entries = [
        pollfd(fd: 0, events: Int16(POLLIN), revents: 0),
        pollfd(fd: signals.signalDescriptor, events: Int16(POLLIN), revents: 0),
      ]
      guard poll(&entries, 2, -1) > 0 else { continue }
      // Ctrl-C ends the list, and then the line.
      if entries[1].revents != 0 { return nil }
      input.fill(from: 0)
    }
  }

  /// A line about the line, below it.
  func tell(_ message: String) {
    leaveLine("\r\n" + advisor.style.paint(message, .warning) + "\r\n")
  }
}
