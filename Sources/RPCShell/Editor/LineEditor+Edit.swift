import CLibEdit
import CLinux
import Glibc
import RPCSystem
import RPCWire

/// Undo, the last argument, and the line in an editor.
extension LineEditor {
  func takeBack() -> UInt8 {
    guard let state = undo.undo() else { return UInt8(CC_ERROR) }
    replaceLine(state.text)
    el_cursor(edit, Int32(state.cursor - line.cursor))
    return UInt8(CC_REFRESH)
  }

  // MARK: The last argument

  struct LastArgument {
    /// The entry that the word is from.
    var entry: Int
    var word: String
    /// The line with the word in it, which tells whether the key was pressed again.
    var line: String
    var cursor: Int
  }

  /// The last word of the entry before; pressed again, that of the one before it.
  func insertLastArgument() -> UInt8 {
    var position = history.entries.count
    var previous: LastArgument?
    if let last = lastArgument, last.cursor == line.cursor, last.line.hasSameUTF8(as: line.text) {
      position = last.entry
      previous = last
    }
    while position > 0 {
      position -= 1
      guard let word = CommandLine.all(in: history.entries[position]).last?.words.last?.text,
        !(previous?.word.hasSameUTF8(as: word) ?? false)
      else { continue }
      if let previous { el_deletestr(edit, Int32(previous.word.unicodeScalars.count)) }
      insert(word)
      lastArgument = LastArgument(entry: position, word: word, line: line.text, cursor: line.cursor)
      return UInt8(CC_REFRESH)
    }
    return UInt8(CC_ERROR)
  }

  // MARK: $EDITOR

  /// Opens the command in `$VISUAL` or `$EDITOR`; what is saved is the line then. It runs with Enter, not by itself.
  func editElsewhere() -> UInt8 {
    _ = reopenRowsAbove()
    let folder = Environment["TMPDIR"] ?? "/tmp"
    var template = Array("\(folder)/rpc-client-XXXXXX".utf8CString)
    // Only its owner can read it.
    let descriptor = mkstemp(&template)
    guard descriptor >= 0 else {
      return failEditing("cannot make a file in \(folder): \(SystemError.last("open").reason)")
    }
    let path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    defer { unlink(path) }
    let isWritten = StandardOutput.write(descriptor, Array((line.text + "\n").utf8))
    Glibc.close(descriptor)
    guard isWritten else { return failEditing("cannot write \(path)") }
    let editor = Environment["VISUAL"] ?? Environment["EDITOR"] ?? "vi"
    leaveLine("\r\n\u{1b}[?2004l")
    rpc_edit_set_prepared_terminal(edit, 0)
    let child = try? ChildProcess.start(["/bin/sh", "-c", "exec \(editor) \"$1\"", "sh", path])
    let status = child?.wait() ?? 127
    rpc_edit_set_prepared_terminal(edit, 1)
    write("\u{1b}[?2004h")
    // Ctrl-C in the editor was the editor's.
    while let event = signals.next() {
      if case .signal(let number) = event, number == SIGTERM || number == SIGHUP {
        pendingSignals.append(number)
      }
    }
    el_resize(edit)
    guard status == 0 else {
      return failEditing("'\(editor)' ended with status \(status): the line is as it was")
    }
    do throws(SystemError) {
      let bytes = try WholeFile.read(path, limit: ShellLimits.promptBytesMax)
      let text = Self.cleaned(String(decoding: bytes, as: UTF8.self))
      let before = line.text
      replaceLine("")
      if !insert(text) { insert(before) }
    } catch {
      return failEditing("cannot read what was saved: \(FileContent.reason(error))")
    }
    return UInt8(CC_NORM)
  }

  private func failEditing(_ message: String) -> UInt8 {
    tell(message)
    return UInt8(CC_NORM)
  }
}
