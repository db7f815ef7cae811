internal import RPCSystem

/// Lines that wait to be shown above the prompt.
final class NoticeQueue: Sendable {
  private let lines = Lock<[String]>([])
  private let signals: SignalSource

  init(signals: SignalSource) { self.signals = signals }

  func add(_ line: String) {
    lines.withLock { $0.append(line) }
    signals.wake()
  }

  /// The prompt may have changed, though there is nothing to say.
  func touch() { signals.wake() }

  func take() -> [String] {
    lines.withLock { lines in
      defer { lines = [] }
      return lines
    }
  }
}
