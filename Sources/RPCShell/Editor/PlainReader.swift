import Glibc

/// The prompt for terminals that cannot move their cursor (`TERM=dumb`): the terminal's own line editing, nothing
/// written but the prompt.
final class PlainReader: PromptReader {
  private let signals: SignalSource
  private let advisor: any PromptAdvisor
  private var buffer: [UInt8] = []

  init(_ signals: SignalSource, _ advisor: any PromptAdvisor) {
    self.signals = signals
    self.advisor = advisor
  }

  func read(_ prompt: Prompt) -> PromptAnswer {
    var text = ""
    var shown = prompt.text
    while true {
      write(shown)
      guard let line = nextLine(shown) else {
        if let interruption { return interruption }
        return text.isEmpty ? .end : .line(text)
      }
      text += text.isEmpty ? line : "\n" + line
      guard let open = advisor.openConstruct(text) else { return .line(text) }
      shown = prompt.continuation(open).text
    }
  }

  func remember(_ line: String) {}
  func close() {}

  private var interruption: PromptAnswer?

  private func nextLine(_ prompt: String) -> String? {
    interruption = nil
    while true {
      if let end = buffer.firstIndex(of: .newline) {
        let line = String(decoding: buffer[..<end], as: UTF8.self)
        buffer.removeFirst(end + 1)
        return line
      }
      var entries = [
        pollfd(fd: 0, events: Int16(POLLIN), revents: 0),
        pollfd(fd: signals.signalDescriptor, events: Int16(POLLIN), revents: 0),
        pollfd(fd: signals.wakeDescriptor, events: Int16(POLLIN), revents: 0),
      ]
      _ = poll(&entries, 3, -1)
      while let event = signals.next() {
        switch event {
        case .woken:
          let notices = advisor.takeNotices()
          if !notices.isEmpty { write("\n" + notices.joined(separator: "\n") + "\n" + prompt) }
        case .signal(SIGINT):
          buffer = []
          write("\n")
          interruption = .interrupted
          return nil
        case .signal(SIGTERM), .signal(SIGHUP):
          if case .signal(let number) = event { interruption = .terminated(number) }
          return nil
        case .signal(SIGTSTP): Suspension.stop()
        case .signal: break
        }
      }
      if entries[0].revents != 0 {
        var chunk = [UInt8](repeating: 0, count: 4096)
        let count = Glibc.read(0, &chunk, chunk.count)
        if count <= 0 { return nil }
        buffer.append(contentsOf: chunk[..<count])
      }
    }
  }

  private func write(_ text: String) { _ = StandardOutput.write(1, Array(text.utf8)) }
}
