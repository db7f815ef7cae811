internal import CLinux
internal import Glibc
package import RPCSystem
package import RPCTransport
package import RPCWire

/// Starts each worker as a program of its own, which finds its socket as descriptor 3. What the worker writes to the
/// descriptors 1 and 2 is reported; its processes end with it as far as they stay in its group.
package final class ExecLauncher: WorkerLauncher {
  package weak var observer: (any WorkerLauncherObserver)?

  private let command: [String]
  private let title: String
  private let loop: EventLoop
  private var processes: [UInt32: ExecProcess] = [:]

  /// - Parameters:
  ///   - command: the program, found in PATH, and its arguments.
  ///   - title: the language, in messages.
  package init(_ command: [String], title: String, loop: EventLoop) {
    self.command = command
    self.title = title
    self.loop = loop
  }

  package func launch(
    _ id: UInt32, _ order: WorkerOrder, serving socket: borrowing Descriptor
  ) throws(RPCError) {
    // Programs expect descriptors that wait.
    _ = rpc_set_nonblocking(socket.raw, 0)
    do throws(SystemError) {
      processes[id] = try ExecProcess(id, command, socket: socket, launcher: self, on: loop)
    } catch {
      throw RPCError(.unavailable, "no \(title) worker can be started: \(error)")
    }
  }

  package func kill(_ id: UInt32) {
    processes[id]?.kill()
  }

  /// Nothing of a call is looked at while it runs.
  package func workBegan() {}

  package func shutDown() {
    for process in processes.values { process.shutDown() }
    processes = [:]
  }

  fileprivate func ended(_ id: UInt32, _ end: WorkerEnd) {
    processes[id] = nil
    observer?.workerEnded(id, end)
  }
}

/// One worker program. Its end is what its pidfd tells; it is not waited for before, so its number stays its own.
private final class ExecProcess: EventHandler {
  private let id: UInt32
  private let process: ChildProcess
  private let loop: EventLoop
  private unowned let launcher: ExecLauncher
  private let pidDescriptor: Descriptor
  private var output: ExecOutput?
  private var watch: Watch?

  init(
    _ id: UInt32, _ command: [String], socket: borrowing Descriptor, launcher: ExecLauncher,
    on loop: EventLoop
  ) throws(SystemError) {
    self.id = id
    self.loop = loop
    self.launcher = launcher
    var ends: [Int32] = [-1, -1]
    guard socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0, &ends) == 0 else {
      throw .last("socketpair")
    }
    let near = Descriptor(ends[0])
    let far = Descriptor(ends[1])
    process = try ChildProcess.start(
      command, environment: WorkerEnvironment.variables, descriptors: [-1, far.raw, far.raw, socket.raw],
      alone: true)
    let descriptor = rpc_pidfd_open(process.id)
    guard descriptor >= 0 else {
      let error = SystemError.last("pidfd_open")
      _ = killpg(process.id, SIGKILL)
      _ = process.wait()
      throw error
    }
    pidDescriptor = Descriptor(descriptor)
    do throws(SystemError) {
      output = try ExecOutput(of: id, near, launcher: launcher, on: loop)
      watch = try loop.watch(pidDescriptor.raw, .readable, self)
    } catch {
      output?.close()
      _ = killpg(process.id, SIGKILL)
      _ = process.wait()
      throw error
    }
  }

  func kill() {
    _ = killpg(process.id, SIGKILL)
  }

  func ready(_ readiness: Readiness, on loop: EventLoop) {
    launcher.ended(id, end())
  }

  func shutDown() {
    kill()
    _ = end()
  }

  /// Kills what is left in its group, waits for it and reads what it wrote.
  private func end() -> WorkerEnd {
    if let watch { loop.unwatch(watch) }
    watch = nil
    kill()
    var status: Int32 = 0
    while waitpid(process.id, &status, 0) < 0, errno == EINTR {}
    output?.readRest()
    return status & 0x7f == 0 ? .exited(status: status >> 8 & 0xff) : .signalled(status & 0x7f)
  }
}

/// What a worker program writes to its standard output and error.
private final class ExecOutput: EventHandler {
  private static let readBytes = 16 * 1024
  /// Reads of what is there when the worker has ended: another process may go on writing.
  private static let lastReadsMax = 64

  private let id: UInt32
  private let loop: EventLoop
  private unowned let launcher: ExecLauncher
  private var descriptor: Descriptor?
  private var watch: Watch?
  private var partial: [UInt8] = []
  private var unreported = 0

  init(
    of id: UInt32, _ descriptor: consuming Descriptor, launcher: ExecLauncher, on loop: EventLoop
  ) throws(SystemError) {
    self.id = id
    self.loop = loop
    self.launcher = launcher
    _ = rpc_set_nonblocking(descriptor.raw, 1)
    watch = try loop.watch(descriptor.raw, .readable, self)
    self.descriptor = consume descriptor
  }

  func ready(_ readiness: Readiness, on loop: EventLoop) {
    _ = readOnce()
  }

  func readRest() {
    for _ in 0..<Self.lastReadsMax where !readOnce() { break }
    close()
  }

  /// Returns whether there may be more.
  private func readOnce() -> Bool {
    guard let raw = descriptor?.raw else { return false }
    var bytes = [UInt8](repeating: 0, count: Self.readBytes)
    let count = recv(raw, &bytes, bytes.count, 0)
    if count < 0, errno == EINTR { return true }
    if count < 0, errno == EAGAIN { return false }
    guard count > 0 else {
      close()
      return false
    }
    unreported += count
    if unreported >= WorkerOutput.reportBytes {
      launcher.observer?.workerWroteMuch(id, unreported)
      unreported = 0
    }
    partial += bytes[..<count]
    // Whole lines, or as much as a read takes.
    let end = partial.lastIndex(of: UInt8(ascii: "\n")).map { $0 + 1 } ?? 0
    let told = end > 0 ? end : partial.count >= Self.readBytes ? partial.count : 0
    if told > 0 {
      launcher.observer?.workerWrote(id, partial[..<told])
      partial.removeFirst(told)
    }
    return true
  }

  func close() {
    if let watch { loop.unwatch(watch) }
    watch = nil
    descriptor = nil
    if !partial.isEmpty { launcher.observer?.workerWrote(id, partial[...]) }
    partial = []
  }
}
