internal import CLinux
internal import Glibc
internal import RPCSystem
internal import RPCTransport
internal import RPCWire

/// Hears what the parent of the workers reports.
internal protocol PythonParentObserver: AnyObject {
  /// What a worker wrote to its descriptors 1 and 2, past Python's own streams.
  func workerWrote(_ id: UInt32, _ bytes: ArraySlice<UInt8>)
  /// How many bytes a worker wrote there since this was last reported, `PythonParent.reportBytes` at least.
  func workerWroteMuch(_ id: UInt32, _ count: Int)
  /// Its call used more memory than it may, in bytes; it is being killed.
  func workerUsedTooMuch(_ id: UInt32, used: Int, limit: Int)
  /// Processes or threads of finished calls go on in an idle worker.
  func workerLeftSomething(_ id: UInt32)
  /// A worker ended. Reported for each that was forked, exactly once, unless the parent ends first.
  func workerEnded(_ id: UInt32, _ end: PythonParent.WorkerEnd)
  /// It has looked after the workers, as it was asked to.
  func parentAnswered()
  /// It is gone and its workers with it.
  func parentEnded(_ why: String)
}

/// The warm interpreter process that forks the workers of one loop, seen from the server: started once, told
/// what to fork and kill over its control socket, gone when that closes.
internal final class PythonParent: EventHandler, TimerTarget {
  /// What became of a worker.
  enum WorkerEnd {
    case exited(status: Int32)
    /// A signal ended or stopped it.
    case signalled(Int32)
    case notForked(errno: Int32)
  }

  /// The oldest version of Python whose library has all that the worker program uses.
  static let oldestMinorVersion: UInt32 = 9

  /// How much a worker has written whenever the parent says so, past Python's own streams.
  static let reportBytes = 1024 * 1024

  /// The largest packet that the parent sends.
  private static let packetBytesMax = 32 * 1024

  private let loop: EventLoop
  private var control: Descriptor?
  private var watch: Watch?
  /// The process that guards it.
  private let pid: pid_t
  let startedAt: UInt64
  private(set) var isReady = false
  /// Kills that did not fit the socket; they must not be lost.
  private var pendingKills: [UInt32] = []
  private weak var observer: (any PythonParentObserver)?
  /// Set once it is stopped.
  private(set) var ending: PythonEnding?
  /// Whether the workers have process ids of their own, and so can signal nobody else.
  private(set) var hasNamespaces = false

  init(
    program: String, limits: RuntimeLimits, usesNamespaces: Bool, loop: EventLoop,
    observer: any PythonParentObserver
  ) throws(RPCError) {
    self.loop = loop
    startedAt = loop.now
    var ends: [Int32] = [-1, -1]
    guard socketpair(AF_UNIX, Int32(SOCK_SEQPACKET.rawValue | SOCK_CLOEXEC.rawValue), 0, &ends) == 0 else {
      throw Self.unavailable(SystemError.last("socketpair").description)
    }
    let near = Descriptor(ends[0])
    let far = Descriptor(ends[1])
    pid = try Self.spawn(program, limits, usesNamespaces: usesNamespaces, control: far)
    _ = rpc_set_nonblocking(near.raw, 1)
    do {
      watch = try loop.watch(near.raw, .readable, self)
    } catch {
      _ = Glibc.kill(pid, SIGKILL)
      waitpid(pid, nil, 0)
      throw Self.unavailable(error.description)
    }
    control = consume near
    self.observer = observer
  }

  private static func unavailable(_ what: String) -> RPCError {
    RPCError(.unavailable, "Python cannot be started: \(what)")
  }

  /// Starts the interpreter on the worker program, which it imports from memory: descriptor 3 is the program, 4 the
  /// control socket.
  private static func spawn(
    _ program: String, _ limits: RuntimeLimits, usesNamespaces: Bool, control: borrowing Descriptor
  ) throws(RPCError) -> pid_t {
    let file = archive.withUnsafeBytes { rpc_memory_file("rpc_worker.zip", $0.baseAddress, $0.count) }
    guard file >= 0 else { throw unavailable(SystemError.last("memfd_create").description) }
    defer { close(file) }
    let arguments = [
      program, "-I", "-S", "-B", "/proc/self/fd/3", "program=3", "control=4",
      "memory=\(limits.pythonMemoryBytes)", "output=\(limits.outputBytes)",
      "log_bytes=\(limits.logBytesPerCall)", "log_lines=\(limits.logLinesPerCall)",
      "print_bytes=\(limits.pythonPrintBytes)", "files=\(limits.pythonDescriptors)",
      "file_bytes=\(limits.pythonFileBytes)", "processes=\(limits.pythonProcesses)",
      "report_bytes=\(reportBytes)", "memory_slack=\(limits.pythonMemorySlackBytes)",
      "namespaces=\(usesNamespaces ? 1 : 0)",
    ]
    // The server's environment may hold secrets; procedures get only what programs need to run at all.
    var environment = ["LANG=C.UTF-8"]
    for name in ["PATH", "TZ", "TMPDIR"] {
      if let value = getenv(name) { environment.append("\(name)=\(String(cString: value))") }
    }
    do throws(SystemError) {
      return try ChildProcess.start(
        arguments, environment: environment, descriptors: [-1, -1, 2, file, control.raw], alone: true
      ).id
    } catch {
      throw error.code == ENOENT
        ? RPCError(
          .unavailable, "'\(program)' was not found in PATH: Python procedures need Python 3 on the server")
        : unavailable(SystemError(code: error.code, operation: "start \(program)").description)
    }
  }

  /// The worker program: a zip archive with the package `rpc_worker`.
  private static let archive: [UInt8] = {
    let modules = [
      ("parent", PackageResources.parent_py), ("worker", PackageResources.worker_py),
      ("protocol", PackageResources.protocol_py), ("limits", PackageResources.limits_py),
      ("sources", PackageResources.sources_py), ("calls", PackageResources.calls_py),
      ("output", PackageResources.output_py), ("rpc", PackageResources.rpc_py),
      ("codec", PackageResources.codec_py), ("values", PackageResources.values_py),
      ("errors", PackageResources.errors_py), ("spelling", PackageResources.spelling_py),
      ("state", PackageResources.state_py), ("processes", PackageResources.processes_py),
      ("namespaces", PackageResources.namespaces_py), ("guardian", PackageResources.guardian_py),
    ]
    var archive = ZipArchive()
    archive.add("__main__.py", Array("from rpc_worker.parent import main\n\nmain()\n".utf8))
    archive.add("rpc_worker/__init__.py", [])
    for (name, source) in modules { archive.add("rpc_worker/\(name).py", source) }
    return archive.bytes
  }()

  // MARK: Orders

  /// Forks a worker that serves the other end of `descriptor`'s socket.
  func fork(_ id: UInt32, serving descriptor: borrowing Descriptor) throws(SystemError) {
    guard let control = control?.raw else {
      throw SystemError(code: EPIPE, operation: "fork a Python worker")
    }
    let packet = Self.packet("F", id)
    guard rpc_send_descriptor(control, packet, packet.count, descriptor.raw) == packet.count else {
      throw .last("fork a Python worker")
    }
  }

  /// Kills a worker with all its processes. The parent does it, which reaps them too, so that no other
  /// process can have got the id meanwhile.
  func kill(worker id: UInt32) {
    pendingKills.append(id)
    sendKills()
  }

  /// A worker as the server sees it.
  struct WorkerView {
    var id: UInt32
    var callsStarted: Int
    var isBusy: Bool
  }

  /// Asks the parent to look after the workers and to answer. A request that does not fit the socket is one that
  /// is not answered.
  func lookAfter(_ workers: [WorkerView]) {
    guard let control = control?.raw else { return }
    var packet = ByteQueue()
    packet.append(UInt8(ascii: "P"))
    packet.append(littleEndian: UInt32(0))
    for worker in workers {
      packet.append(littleEndian: worker.id)
      packet.append(littleEndian: UInt32(truncatingIfNeeded: worker.callsStarted))
      packet.append(littleEndian: UInt32(worker.isBusy ? 1 : 0))
    }
    let bytes = packet.copy()
    _ = send(control, bytes, bytes.count, Int32(MSG_NOSIGNAL))
  }

  private func sendKills() {
    while let id = pendingKills.last, let control = control?.raw {
      let packet = Self.packet("K", id)
      guard send(control, packet, packet.count, Int32(MSG_NOSIGNAL)) == packet.count else {
        if errno == EAGAIN || errno == ENOBUFS { loop.schedule(after: 1_000_000, self) }
        return
      }
      pendingKills.removeLast()
    }
  }

  func timerFired(tag: UInt64, on loop: EventLoop) {
    sendKills()
  }

  private static func packet(_ kind: Unicode.Scalar, _ id: UInt32) -> [UInt8] {
    var queue = ByteQueue()
    queue.append(UInt8(truncatingIfNeeded: kind.value))
    queue.append(littleEndian: id)
    return queue.copy()
  }

  // MARK: Reports

  func ready(_ readiness: Readiness, on loop: EventLoop) {
    var packet = [UInt8](repeating: 0, count: Self.packetBytesMax)
    while let control = control?.raw {
      let count = recv(control, &packet, packet.count, 0)
      if count < 0, errno == EINTR { continue }
      if count < 0, errno == EAGAIN { return }
      guard count > 0 else { return end("it ended") }
      take(packet[..<count])
    }
  }

  private func take(_ packet: ArraySlice<UInt8>) {
    func number<Number: FixedWidthInteger>(at offset: Int, _: Number.Type = UInt32.self) -> Number {
      let start = packet.startIndex + 1 + offset
      let end = start + MemoryLayout<Number>.size
      guard end <= packet.endIndex else { return 0 }
      return packet[start..<end].reversed().reduce(0) { $0 << 8 | Number($1) }
    }
    let id = number(at: 0)
    switch packet.first.map({ Unicode.Scalar($0) }) {
    case "R":
      isReady = true
      hasNamespaces = number(at: 8) != 0
      let (major, minor) = (number(at: 0), number(at: 4))
      if major != 3 || minor < Self.oldestMinorVersion {
        end("it is Python \(major).\(minor), and 3.\(Self.oldestMinorVersion) is the oldest that will do")
      }
    case "P": observer?.parentAnswered()
    case "M":
      observer?.workerUsedTooMuch(
        id, used: Int(clamping: number(at: 4, UInt64.self)), limit: Int(clamping: number(at: 12, UInt64.self))
      )
    case "L": observer?.workerLeftSomething(id)
    case "E": observer?.workerEnded(id, .notForked(errno: Int32(bitPattern: number(at: 4))))
    case "O": observer?.workerWrote(id, packet.dropFirst(5))
    case "V": observer?.workerWroteMuch(id, Int(number(at: 4)))
    case "X":
      let (status, signal) = (Int32(bitPattern: number(at: 4)), Int32(bitPattern: number(at: 8)))
      observer?.workerEnded(id, signal != 0 ? .signalled(signal) : .exited(status: status))
    default: break
    }
  }

  // MARK: Ending

  private func end(_ why: String) {
    guard control != nil else { return }
    let observer = observer
    stop()
    observer?.parentEnded(isReady ? why : "\(why) before it was ready")
  }

  /// Ends the process and its workers. `ending` says when they are gone.
  func stop() {
    guard control != nil else { return }
    if let watch { loop.unwatch(watch) }
    watch = nil
    observer = nil
    control = nil
    ending = PythonEnding(of: pid, on: loop)
  }

  deinit {
    precondition(control == nil, "a Python parent is stopped before it is dropped")
  }
}
