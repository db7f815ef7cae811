import CLibEdit
import Glibc
import RPCClient
internal import RPCSystem
import RPCWire
import Synchronization

/// The conversation at the prompt: reads a line, runs it while watching for Ctrl-C, and shows the notices in between.
/// Owns the main thread.
final class InteractiveShell: PromptAdvisor {
  private let session: ShellSession
  private let output: StandardOutput
  private let signals: SignalSource
  private let options: Shell.Options
  private let notices: NoticeQueue
  private let historyFile = HistoryFile.standard
  private(set) var parsed = ParsedText()
  /// The signal that ends the program, once it has come.
  private var isEnding: Int32?

  init(_ session: ShellSession, _ output: StandardOutput, _ signals: SignalSource, _ options: Shell.Options) {
    self.session = session
    self.output = output
    self.signals = signals
    self.options = options
    notices = NoticeQueue(signals: signals)
  }

  func run() -> Int32 {
    // A fault must not leave the terminal in the editor's hands, and Ctrl-\ must not dump core at the prompt.
    signal(SIGQUIT, SIG_IGN)
    let isDumb = (Environment["TERM"] ?? "dumb") == "dumb"
    let reader: any PromptReader
    let entries = historyFile?.load() ?? []
    if !isDumb, let editor = LineEditor(signals, self, entries: entries) {
      reader = editor
    } else {
      reader = PlainReader(signals, self)
    }
    output.setPager { [session] in session.settings.pager }
    session.onNotice { [notices, output] item in
      let text = output.renderer.render(item)
      notices.add((text.out + text.err).droppingLastNewline)
    }
    output.jobHandler.withLock { $0 = { [notices] text in notices.add(text.droppingLastNewline) } }
    let watcher = NetworkWatcher(session: session, notices: notices)
    watcher.start()
    if !options.isQuiet { greet() }
    if options.readsStartupFile { runStartupFile() }
    let exit = converse(reader)
    watcher.stop()
    reader.close()
    for job in session.change({ $0.jobs.running }) { session.cancelJob(job) }
    session.backend.close()
    return exit
  }

  private func greet() {
    let topology = session.snapshotWithoutStates.topology
    output.emit(
      .note(
        "SimpleRPC \(Shell.version), \(English.count(topology.servers.count, "server")) in \(options.config). "
          + "'help' lists the commands, Tab completes."))
  }

  func converse(_ reader: any PromptReader) -> Int32 {
    while true {
      for notice in notices.take() { output.add(Renderer.Text(out: notice + "\n")) }
      switch reader.read(prompt()) {
      case .line(let text):
        if text.allSatisfy(\.isWhitespace) { continue }
        let lines = parsed.commands(in: text)
        remember(text, lines, reader)
        // The terminal may have another size than when the last command ran.
        resized()
        run(lines)
        if session.isEnding { return Shell.Exit.done }
        if let isEnding { return 128 + isEnding }
      case .end:
        output.add(Renderer.Text(out: "\n"))
        return Shell.Exit.done
      case .interrupted: continue
      case .terminated(let signal): return 128 + signal
      }
    }
  }

  private func remember(_ text: String, _ lines: [CommandLine], _ reader: any PromptReader) {
    reader.remember(text)
    guard let historyFile, !text.hasPrefix(" "), !Secrets.contains(lines, session.snapshotWithoutStates)
    else { return }
    historyFile.append(text)
  }

  private func runStartupFile() {
    let path = Environment["RPC_RCFILE"] ?? Environment.xdg("XDG_CONFIG_HOME", default: ".config", "rpcrc")
    guard let path, FileContent.exists(path) else { return }
    wait(
      for: Task { [session, output] in
        do throws(CommandFailure) {
          try await session.runScript(path, stopsAtFailure: false, output)
        } catch {
          output.add(output.renderer.render(error))
        }
      })
  }

  /// Runs the commands of a line: a paste may hold several.
  private func run(_ lines: [CommandLine]) {
    for line in lines {
      var wasInterrupted = false
      let work = Task { [session, output] () -> Bool in
        do throws(CommandFailure) {
          try await session.run(line, output)
          return false
        } catch {
          output.progress(nil)
          output.add(output.renderer.render(error, line: line))
          return error.kind == .interrupted
        }
      }
      let done = FirstAnswer<Bool>()
      wait(for: Task { done.answer(await work.value) }, cancelling: { work.cancel() })
      wasInterrupted = done.now ?? false
      if wasInterrupted || session.isEnding || isEnding != nil { return }
    }
  }

  /// Waits for a task and hands it Ctrl-C meanwhile. A second one does not wait for the server any longer.
  private func wait(for task: Task<Void, Never>, cancelling cancel: (() -> Void)? = nil) {
    let flag = Flag()
    Task { [signals] in
      await task.value
      flag.set()
      signals.wake()
    }
    while !flag.isSet {
      switch signals.wait() {
      case .woken: for notice in notices.take() { output.add(Renderer.Text(out: notice + "\n")) }
      case .signal(SIGINT):
        output.interrupted()
        if let cancel { cancel() } else { task.cancel() }
      case .signal(let number) where number == SIGTERM || number == SIGHUP:
        isEnding = number
        if let cancel { cancel() } else { task.cancel() }
      case .signal(SIGTSTP): Suspension.stop()
      case .signal(SIGWINCH): resized()
      case .signal: break
      }
    }
    resized()
  }

  private func resized() {
    let columns = Terminal.size(of: 1).columns
    output.setRenderer { $0.width = columns }
  }

  // MARK: What the editor asks

  var style: Style { output.renderer.style }
  var showsHints: Bool { session.settings.hints }

  func hint(_ line: String) -> Hint? { Hint.hint(line, session.snapshot) }
  func complete(_ text: String) -> Completion { Completion.complete(text, session.snapshot) }
  func openConstruct(_ text: String) -> OpenConstruct.Kind? {
    parsed.commands(in: text).last?.open.last?.kind
  }
  func takeNotices() -> [String] { notices.take() }

  func prompt() -> Prompt {
    let snapshot = session.snapshot
    let place =
      switch (snapshot.identity, snapshot.currentServer) {
      case (nil, nil): ""
      case (let identity?, nil): "\(identity) "
      case (nil, let server?): "@\(server) "
      case (let identity?, let server?): "\(identity)@\(server) "
      }
    let count = snapshot.topology.servers.count
    return Prompt(
      place: place, right: count > 0 ? "\(snapshot.upCount)/\(count) up" : "", isColored: style.isColored)
  }
}

/// Set once, read from another thread.
final class Flag: Sendable {
  private let state = Atomic(false)
  var isSet: Bool { state.load(ordering: .acquiring) }
  func set() { state.store(true, ordering: .releasing) }
}

extension String {
  var droppingLastNewline: String { hasSuffix("\n") ? String(dropLast()) : self }
}
