import Glibc
internal import RPCSystem

/// The program's own standard output and standard error. Results are gathered into few writes; what is said on
/// standard error leaves at once, after the results before it.
final class StandardOutput: Output {
  private struct State {
    var renderer: Renderer
    var buffer: [UInt8] = []
    var hasProgress = false
    /// What happens when results cannot be written any more; told why, as errno.
    var whenBroken: (@Sendable (Int32) -> Void)?
    /// Whether output that is longer than the screen is paged.
    var pages: (@Sendable () -> Bool)?
  }

  private let state: Lock<State>
  private static let bufferBytes = 64 * 1024

  init(renderer: Renderer) { state = Lock(State(renderer: renderer)) }

  var renderer: Renderer { state.withLock { $0.renderer } }

  func setRenderer(_ change: (inout Renderer) -> Void) { state.withLock { change(&$0.renderer) } }

  func setWhenBroken(_ handler: @escaping @Sendable (Int32) -> Void) {
    state.withLock { $0.whenBroken = handler }
  }

  /// Switches paging on, as long as `isWanted` says so.
  func setPager(_ isWanted: @escaping @Sendable () -> Bool) { state.withLock { $0.pages = isWanted } }

  func job(_ number: Int, _ text: String, _ status: JobTable.Job.Status, _ output: Renderer.Text) {
    let renderer = renderer
    guard renderer.isInteractive else { return add(output) }
    jobHandler.withLock { $0 }?("[\(number)] \(status): \(text)\n" + output.out + output.err)
  }

  /// Takes what a background job has to say at its end, to be shown at the right time.
  let jobHandler = Lock<(@Sendable (String) -> Void)?>(nil)

  func add(_ text: Renderer.Text) {
    if let pages = state.withLock({ $0.pages }), Pager.isNeeded(text.out), pages() {
      flush()
      if !text.err.isEmpty { _ = Self.write(2, Array(text.err.utf8)) }
      return Pager.show(text.out)
    }
    state.withLock { state in
      Self.clearProgress(&state)
      // What is said about a result stands before it, as the overload that was chosen.
      if !text.err.isEmpty {
        Self.flush(&state)
        _ = Self.write(2, Array(text.err.utf8))
      }
      state.buffer.append(contentsOf: text.out.utf8)
      if state.renderer.isInteractive || state.buffer.count >= Self.bufferBytes { Self.flush(&state) }
    }
  }

  func progress(_ line: String?) {
    state.withLock { state in
      guard state.renderer.isInteractive else { return }
      Self.clearProgress(&state)
      guard let line else { return }
      Self.flush(&state)
      _ = Self.write(1, Array(TextWidth.cut(line, to: state.renderer.width - 1).utf8))
      state.hasProgress = true
    }
  }

  /// Goes on below the ^C that the terminal shows; a line of progress takes it away with itself.
  func interrupted() {
    state.withLock { state in
      if state.hasProgress { Self.clearProgress(&state) } else { _ = Self.write(1, [.newline]) }
    }
  }

  func flush() { state.withLock { Self.flush(&$0) } }

  private static func clearProgress(_ state: inout State) {
    guard state.hasProgress else { return }
    state.hasProgress = false
    _ = write(1, Array("\r\u{1b}[K".utf8))
  }

  private static func flush(_ state: inout State) {
    guard !state.buffer.isEmpty else { return }
    if !write(1, state.buffer) { state.whenBroken?(errno) }
    state.buffer.removeAll(keepingCapacity: true)
  }

  /// Writes everything, waiting where the descriptor does not block. False when nobody reads any more.
  static func write(_ descriptor: Int32, _ bytes: [UInt8]) -> Bool {
    var start = 0
    while start < bytes.count {
      let count = bytes[start...].withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
      if count >= 0 {
        start += count
      } else if errno == EAGAIN {
        var entry = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
        _ = poll(&entry, 1, -1)
      } else if errno != EINTR {
        return false
      }
    }
    return true
  }
}
