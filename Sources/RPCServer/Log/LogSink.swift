internal import CLinux
internal import Glibc
internal import RPCSystem
internal import RPCTransport
internal import RPCWire
internal import Synchronization

/// Where the log's lines go: a file or standard error, written by a thread of its own, so that a slow disk or
/// a reader that has stopped delays nobody. Whole lines are handed over; any thread may.
internal final class LogSink: Sendable {
  private struct State: ~Copyable {
    var waiting = ByteQueue()
    var droppedBytes = 0
    var isPosted = false
    var isClosed = false
  }

  /// The writing thread's own.
  private struct Output: ~Copyable {
    /// nil for standard error.
    var path: String?
    var descriptor: Int32
    var isRegularFile: Bool
    var bytes = ByteQueue()
  }

  private let line: LogLine
  private let state = Lock(State())
  private let output: Lock<Output>
  private let thread: LoopThread
  private let isClosing = Atomic<Bool>(false)

  /// - Parameter path: appended to and made where it is missing; nil is standard error.
  init(path: String?, format: LogOptions.Format = .human) throws(SystemError) {
    line = LogLine(format: format)
    let descriptor = try path.map { (path) throws(SystemError) in try Self.open(path) } ?? STDERR_FILENO
    output = Lock(Output(path: path, descriptor: descriptor, isRegularFile: Self.isRegularFile(descriptor)))
    thread = try LoopThread(name: "rpc-log") { _ in
      // A reader of standard error that goes away must not take the server with it.
      var signals = sigset_t()
      sigemptyset(&signals)
      sigaddset(&signals, SIGPIPE)
      pthread_sigmask(SIG_BLOCK, &signals, nil)
    }
  }

  private static func open(_ path: String) throws(SystemError) -> Int32 {
    let descriptor = rpc_open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0o640)
    guard descriptor >= 0 else { throw .last(.open("the log file '\(path)'")) }
    return descriptor
  }

  private static func isRegularFile(_ descriptor: Int32) -> Bool {
    var status = stat()
    return fstat(descriptor, &status) == 0 && status.st_mode & S_IFMT == S_IFREG
  }

  // MARK: Handing over

  /// Takes whole lines; the queue is empty afterwards and has some memory to go on with.
  func write(_ lines: inout ByteQueue) {
    guard !lines.isEmpty else { return }
    let mustPost = state.withLock { state in
      if state.isClosed { return false }
      if state.waiting.count + lines.count > LogLimits.waitingBytesMax {
        state.droppedBytes += lines.count
      } else if state.waiting.isEmpty {
        swap(&state.waiting, &lines)
      } else {
        state.waiting.append(lines.bytes)
      }
      defer { state.isPosted = true }
      return !state.isPosted
    }
    lines.removeAll()
    if mustPost { thread.mailbox.post { [self] _ in writeWaiting() } }
  }

  // MARK: The thread's side

  private func writeWaiting() {
    output.withLock { output in
      let dropped = state.withLock { state in
        state.isPosted = false
        swap(&state.waiting, &output.bytes)
        defer { state.droppedBytes = 0 }
        return state.droppedBytes
      }
      if dropped > 0 { noteLoss(of: dropped, &output.bytes) }
      writeAll(&output)
      output.bytes.removeAll()
      if output.bytes.allocatedBytes > LogLimits.bufferBytes * 8 { output.bytes = ByteQueue() }
    }
  }

  private func noteLoss(of count: Int, _ bytes: inout ByteQueue) {
    var time = LogTimestamp()
    time.update(SystemClock.wallNanoseconds())
    line.begin(&bytes, time.text, .error, event: "loss")
    line.field(&bytes, "message", text: "\(count) bytes of log are missing here: what takes them is too slow")
    line.end(&bytes)
  }

  private func writeAll(_ output: inout Output) {
    let descriptor = output.descriptor
    let isRegularFile = output.isRegularFile
    output.bytes.withReadable { bytes in
      var written = 0
      while written < bytes.count {
        // A pipe that has room at all has room for this much, so that the write cannot block.
        var piece = min(bytes.count - written, 4096)
        if isRegularFile {
          piece = bytes.count - written
        } else if !waitForRoom(descriptor) {
          return
        }
        let count = Glibc.write(descriptor, bytes.baseAddress.map { $0 + written }, piece)
        if count > 0 {
          written += count
        } else if count < 0, errno != EINTR, errno != EAGAIN {
          // A full disk or a reader that is gone: these lines are lost, later ones may not be.
          return
        }
      }
    }
  }

  /// False when the server ends and the reader takes nothing.
  private func waitForRoom(_ descriptor: Int32) -> Bool {
    var poll = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
    var waited: Int32 = 0
    while true {
      let count = Glibc.poll(&poll, 1, 100)
      if count > 0 { return poll.revents & Int16(POLLOUT) != 0 }
      guard isClosing.load(ordering: .relaxed) else { continue }
      waited += 100
      if waited >= LogLimits.closeMilliseconds { return false }
    }
  }

  /// Opens the file again, after it was moved away. What was handed over before goes to the old one.
  ///
  /// - Parameter failure: told when the file cannot be opened; the old one stays in use then.
  func reopen(failure: @escaping @Sendable (SystemError) -> Void) {
    reopen(output.withLock { $0.path }, failure: failure)
  }

  /// Goes on in another file, or on standard error where `path` is nil.
  func reopen(_ path: String?, failure: @escaping @Sendable (SystemError) -> Void) {
    thread.mailbox.post { [self] _ in
      writeWaiting()
      do throws(SystemError) {
        let descriptor = try path.map { (path) throws(SystemError) in try Self.open(path) } ?? STDERR_FILENO
        output.withLock { output in
          if output.path != nil { _ = Glibc.close(output.descriptor) }
          output.path = path
          output.descriptor = descriptor
          output.isRegularFile = Self.isRegularFile(descriptor)
        }
      } catch {
        failure(error)
      }
    }
  }

  /// Waits until everything that was handed over is written, as long as `LogLimits` says.
  func close() {
    let isFirst = state.withLock { state in
      defer { state.isClosed = true }
      return !state.isClosed
    }
    guard isFirst else { return }
    isClosing.store(true, ordering: .relaxed)
    thread.mailbox.post { [self] loop in
      writeWaiting()
      loop.stop()
    }
    thread.join()
    output.withLock { output in
      if output.path != nil { _ = Glibc.close(output.descriptor) }
      // Nobody writes any more; a stray line goes nowhere instead of to a reused descriptor.
      output.descriptor = -1
    }
  }

  /// For tests: waits until everything handed over so far is written.
  func synchronize() {
    let written = Latch()
    guard
      thread.mailbox.post({ [self] _ in
        writeWaiting()
        written.signal()
      })
    else { return }
    written.wait()
  }
}
