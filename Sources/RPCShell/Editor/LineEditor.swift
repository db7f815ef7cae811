import CLibEdit
import Glibc

/// The prompt on libedit's native wide API, with a reader of its own below it: while libedit waits for a key, this
/// waits for keys, signals and notices together, and draws the line: libedit's own drawing goes nowhere. Main thread only.
final class LineEditor: PromptReader {
  let edit: OpaquePointer
  private let historyHandle: OpaquePointer?
  let signals: SignalSource
  let advisor: any PromptAdvisor
  var input = InputReader()
  var history = PromptHistory()
  var undo = UndoHistory()
  /// What `rpc-last-argument` put in last, for when it is pressed again.
  var lastArgument: LastArgument?
  /// The rows of an unfinished command that were entered already, each ended, and how many rows of the screen
  /// each takes.
  var above = ""
  var heightsAbove: [Int] = []
  private var open: OpenConstruct.Kind?
  /// Signals that came while something else read keys.
  var pendingSignals: [Int32] = []
  /// The prompt of the first row.
  private(set) var mainPrompt = Prompt(place: "", right: "", isColored: false)
  /// The prompt of this row.
  private(set) var prompt = Prompt(place: "", right: "", isColored: false)
  var display = LineDisplay()
  /// Texts that libedit points into.
  var kept: [WideText] = []
  /// How `read` was ended, when not by a line.
  private var ending: PromptAnswer?
  /// Bytes that were typed before the editor had the terminal.
  private var typedAhead = 0
  /// Whether the last byte was one of them.
  private var isTypedAhead = false

  /// - Parameter entries: history, oldest first.
  init?(_ signals: SignalSource, _ advisor: any PromptAdvisor, entries: [String]) {
    // As it was before libedit touches it.
    rpc_terminal_guard(0)
    guard let edit = rpc_edit_open("rpc-client") else { return nil }
    self.edit = edit
    self.signals = signals
    self.advisor = advisor
    historyHandle = history_winit()
    configure()
    for entry in entries { remember(entry) }
  }

  func read(_ prompt: Prompt) -> PromptAnswer {
    above = ""
    heightsAbove = []
    open = nil
    show(prompt)
    history.begin()
    write(LineDisplay.newRow(columns: columns))
    while true {
      let answer = readRow()
      guard case .line(let row) = answer else {
        // Ctrl-D in a further row: what there is says itself what is missing.
        guard answer == .end, !above.isEmpty else { return answer }
        write("\r\n")
        return .line(above)
      }
      let text = above + row
      open = advisor.openConstruct(text)
      guard open != nil else { return .line(text) }
      heightsAbove.append(ScreenPosition(after: self.prompt.text, row, columns: columns).row + 1)
      above = text + "\n"
      show(mainPrompt)
    }
  }

  private func readRow() -> PromptAnswer {
    ending = nil
    undo.begin()
    lastArgument = nil
    // Before anything is shown: libedit draws the prompt first, and the terminal itself would deal with keys like
    // Ctrl-R that come in between.
    rpc_edit_set_prepared_terminal(edit, 1)
    typedAhead = waitingBytes
    write("\u{1b}[?2004h")
    defer { write("\u{1b}[?2004l") }
    var count: Int32 = 0
    let line = el_wgets(edit, &count)
    if let ending {
      // libedit keeps what was typed when its reader gives up.
      el_reset(edit)
      return ending
    }
    guard let line, count > 0 else {
      display.forget()
      return .end
    }
    var text = WideText.string(line, count: Int(count))
    if text.hasSuffix("\n") { text.removeLast() }
    drawFinally(text, "\r\n")
    return .line(text)
  }

  func remember(_ line: String) {
    guard history.add(line), let historyHandle else { return }
    _ = WideText.with(line) { rpc_history_enter(historyHandle, $0) }
  }

  func close() {
    rpc_edit_set_edit_mode(edit, 0)
    el_end(edit)
    if let historyHandle { history_wend(historyHandle) }
    rpc_terminal_restore()
  }

  func write(_ text: String) { _ = StandardOutput.write(1, Array(text.utf8)) }

  // MARK: Setting up

  private func configure() {
    rpc_edit_set_client_data(edit, Unmanaged.passUnretained(self).toOpaque())
    WideText.with("emacs") { _ = rpc_edit_set_editor(edit, $0) }
    // Signals come through our own reader; libedit would send them to the whole process group.
    rpc_edit_set_signal(edit, 0)
    if let historyHandle {
      rpc_history_set_size(historyHandle, Int32(ShellLimits.historyEntriesMax))
      rpc_history_set_unique(historyHandle, 1)
      rpc_edit_set_history(edit, historyHandle)
    }
    rpc_edit_set_get_character(edit, { LineEditor.at($0)?.getCharacter($1) ?? -1 })
    addKeys()
    // The person's own bindings last, so that they win.
    el_source(edit, nil)
  }

  /// The editor that a callback is about: it cannot capture anything.
  static func at(_ edit: OpaquePointer?) -> LineEditor? {
    guard let edit, let data = rpc_edit_client_data(edit) else { return nil }
    return Unmanaged<LineEditor>.fromOpaque(data).takeUnretainedValue()
  }

  /// Takes over a prompt; a further row has one that goes with it.
  func show(_ main: Prompt) {
    mainPrompt = main
    prompt = open.map { main.continuation($0) } ?? main
  }

  /// Takes the rows above back into the line being edited.
  func reopenRowsAbove() -> Bool {
    guard !above.isEmpty else { return false }
    write(display.erase(columns: columns))
    write("\u{1b}[\(heightsAbove.reduce(0, +))A\u{1b}[J")
    let (text, rows) = (line.text, above)
    above = ""
    heightsAbove = []
    open = nil
    show(mainPrompt)
    replaceLine(rows + text)
    // The end of the row above is where one wanted to go.
    el_cursor(edit, Int32(-(text.unicodeScalars.count + 1)))
    return true
  }

  // MARK: The line

  /// What stands in the editor, and where the cursor is in it, in characters.
  var line: (text: String, cursor: Int, count: Int) {
    guard let info = el_wline(edit)?.pointee else { return ("", 0, 0) }
    let count = info.buffer.distance(to: info.lastchar)
    return (WideText.string(info.buffer, count: count), info.buffer.distance(to: info.cursor), count)
  }

  var textBeforeCursor: String {
    guard let info = el_wline(edit)?.pointee else { return "" }
    return WideText.string(info.buffer, count: info.buffer.distance(to: info.cursor))
  }

  func replaceLine(_ text: String) {
    let count = line.count
    el_cursor(edit, Int32(count - line.cursor))
    el_deletestr(edit, Int32(count))
    insert(text)
  }

  /// Puts text at the cursor. False when the line is full.
  @discardableResult
  func insert(_ text: String) -> Bool {
    guard !text.isEmpty else { return true }
    guard above.utf8.count + line.text.utf8.count + text.utf8.count <= ShellLimits.promptBytesMax else {
      return false
    }
    return WideText.with(text) { el_winsertstr(edit, $0) } == 0
  }

  // MARK: Waiting for a key

  /// libedit's source of characters: it has dealt with the last one and has nothing to do.
  private func getCharacter(_ out: UnsafeMutablePointer<wchar_t>?) -> Int32 {
    undo.note(line.text, line.cursor)
    while true {
      if pendingSignals.isEmpty, let scalar = input.next() {
        out?.pointee = wchar_t(bitPattern: translated(scalar).value)
        return 1
      }
      if input.isAtEnd { return 0 }
      if !hasWaitingInput { draw() }
      if let ending = wait() {
        self.ending = ending
        // What libedit takes for an interruption; it gives the line up.
        errno = EINTR
        return -1
      }
    }
  }

  /// A Ctrl-D that was typed while a command ran: the terminal itself had it then, and keeps it as a zero.
  private func translated(_ scalar: Unicode.Scalar) -> Unicode.Scalar {
    scalar == "\0" && isTypedAhead ? "\u{4}" : scalar
  }

  /// Waits for input. Returns how reading ends when a signal ends it.
  private func wait() -> PromptAnswer? {
    while !pendingSignals.isEmpty {
      if let answer = handle(.signal(pendingSignals.removeFirst())) { return answer }
    }
    var entries = [
      pollfd(fd: 0, events: Int16(POLLIN), revents: 0),
      pollfd(fd: signals.signalDescriptor, events: Int16(POLLIN), revents: 0),
      pollfd(fd: signals.wakeDescriptor, events: Int16(POLLIN), revents: 0),
    ]
    _ = poll(&entries, 3, -1)
    while let event = signals.next() {
      if let answer = handle(event) { return answer }
    }
    if entries[0].revents != 0 {
      input.fill(from: 0)
      isTypedAhead = typedAhead > 0
      if isTypedAhead { typedAhead -= 1 }
    }
    return nil
  }

  private func handle(_ event: SignalSource.Event) -> PromptAnswer? {
    switch event {
    case .woken: showNotices()
    case .signal(SIGINT):
      leaveLine("^C\r\n")
      input.clear()
      return .interrupted
    case .signal(SIGTERM), .signal(SIGHUP):
      leaveLine()
      if case .signal(let number) = event { return .terminated(number) }
    case .signal(SIGWINCH): resized()
    case .signal(SIGTSTP): suspend()
    case .signal: break
    }
    return nil
  }

  // MARK: Drawing around the line

  var columns: Int { Terminal.size(of: 1).columns }

  /// Draws what differs from what is there, with the hint for what is typed.
  func draw() {
    let (text, cursor, count) = line
    let hint = advisor.showsHints && cursor == count ? advisor.hint(above + text) : nil
    let size = Terminal.size(of: 1)
    let content = LineDisplay.Content(prompt: prompt, text: text, cursor: cursor, hint: hint)
    write(display.draw(content, columns: size.columns, rows: size.rows, style: advisor.style))
  }

  /// Draws the line as it stays, and goes below it.
  func leaveLine(_ end: String = "\r\n") {
    drawFinally(line.text, end)
  }

  /// Without a hint, and with the cursor at the end; what comes next is drawn where that leaves the cursor.
  private func drawFinally(_ text: String, _ end: String) {
    let size = Terminal.size(of: 1)
    let content = LineDisplay.Content(
      prompt: prompt, text: text, cursor: text.unicodeScalars.count, hint: nil)
    write(display.draw(content, columns: size.columns, rows: size.rows, style: advisor.style) + end)
    display.forget()
  }

  /// Whether keys wait that will change the line at once, as in a paste.
  private var hasWaitingInput: Bool { waitingBytes > 0 }

  private var waitingBytes: Int {
    var count: Int32 = 0
    return ioctl(0, UInt(FIONREAD), &count) == 0 ? Int(count) : 0
  }

  /// Prints notices above the prompt and draws the line again below them.
  private func showNotices() {
    let notices = advisor.takeNotices()
    let next = advisor.prompt()
    guard !notices.isEmpty || next != mainPrompt else { return }
    if !notices.isEmpty { write(display.erase(columns: columns)) }
    for notice in notices { write(notice.replacing("\n", with: "\r\n") + "\r\n") }
    show(next)
  }

  private func resized() { el_resize(edit) }

  private func suspend() {
    leaveLine()
    write("\u{1b}[?2004l")
    rpc_edit_set_prepared_terminal(edit, 0)
    Suspension.stop()
    rpc_edit_set_prepared_terminal(edit, 1)
    write("\u{1b}[?2004h")
    el_resize(edit)
  }
}
