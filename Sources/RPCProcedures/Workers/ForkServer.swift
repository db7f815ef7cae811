internal import CLinux
internal import Glibc
internal import RPCSystem
internal import RPCTransport
internal import RPCWire

/// Hears what a fork server reports, beside the ends of its workers.
internal protocol ForkServerObserver: AnyObject {
  /// It has looked after the workers, as it was asked to.
  func serverAnswered()
  /// It is ready, and has this to confine its workers.
  func serverIsReady(_ tier: IsolationTier)
  /// It is gone and its workers with it.
  func serverEnded(_ why: String)
  /// Who hears about the workers.
  var observer: (any WorkerLauncherObserver)? { get }
}

/// The program of a fork server.
internal struct ForkServerProgram {
  /// Starts it; the descriptor is its end of the control socket.
  var start: (borrowing Descriptor) throws(RPCError) -> ChildProcess
  /// Why one of that version cannot be used, or nil.
  var refusal: (_ major: UInt32, _ minor: UInt32) -> String?
}

/// The warm process that forks the workers of one loop, seen from the server: started once, told what to fork and kill
/// over its control socket, gone when that closes. `protocol.py` has what it is told and what it tells.
internal final class ForkServer: EventHandler, TimerTarget {
  /// The kinds of packets, by their first byte.
  private enum Order {
    static let fork = UInt8(ascii: "F")
    static let kill = UInt8(ascii: "K")
    static let look = UInt8(ascii: "P")
  }

  private enum Report {
    static let ready = UInt8(ascii: "R")
    static let looked = UInt8(ascii: "P")
    static let memoryExceeded = UInt8(ascii: "M")
    static let tooMany = UInt8(ascii: "N")
    static let leftover = UInt8(ascii: "L")
    static let notForked = UInt8(ascii: "E")
    static let output = UInt8(ascii: "O")
    static let outputCount = UInt8(ascii: "V")
    static let ended = UInt8(ascii: "X")
  }

  /// The largest packet that it sends.
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
  private weak var observer: (any ForkServerObserver)?
  private let refusal: (UInt32, UInt32) -> String?
  /// Set once it is stopped.
  private(set) var ending: ForkServerEnding?

  /// - Throws: why it cannot be started.
  init(_ program: ForkServerProgram, title: String, loop: EventLoop, observer: any ForkServerObserver)
    throws(RPCError)
  {
    self.loop = loop
    refusal = program.refusal
    startedAt = loop.now
    var ends: [Int32] = [-1, -1]
    guard socketpair(AF_UNIX, Int32(SOCK_SEQPACKET.rawValue | SOCK_CLOEXEC.rawValue), 0, &ends) == 0 else {
      throw RPCError(.unavailable, "\(title) cannot be started: \(SystemError.last("socketpair"))")
    }
    let near = Descriptor(ends[0])
    let far = Descriptor(ends[1])
    pid = try program.start(far).id
    _ = rpc_set_nonblocking(near.raw, 1)
    do {
      watch = try loop.watch(near.raw, .readable, self)
    } catch {
      _ = Glibc.kill(pid, SIGKILL)
      waitpid(pid, nil, 0)
      throw RPCError(.unavailable, "\(title) cannot be started: \(error)")
    }
    control = consume near
    self.observer = observer
  }

  // MARK: Orders

  /// Forks a worker that serves the other end of `descriptor`'s socket.
  func fork(
    _ id: UInt32, _ order: WorkerOrder, serving descriptor: borrowing Descriptor
  ) throws(SystemError) {
    guard let control = control?.raw else {
      throw SystemError(code: EPIPE, operation: "fork a worker")
    }
    let packet = Self.packet(Order.fork, id) + order.bytes
    guard rpc_send_descriptor(control, packet, packet.count, descriptor.raw) == packet.count else {
      throw .last("fork a worker")
    }
  }

  /// Kills a worker with all its processes. The fork server does it, which reaps them too, so that no other
  /// process can have got the id meanwhile.
  func kill(worker id: UInt32) {
    pendingKills.append(id)
    sendKills()
  }

  /// Asks it to look after the workers and to answer. A request that does not fit the socket is one that
  /// is not answered.
  func lookAfter(_ workers: [WorkerView]) {
    guard let control = control?.raw else { return }
    var packet = ByteQueue()
    packet.append(Order.look)
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
      let packet = Self.packet(Order.kill, id)
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

  private static func packet(_ kind: UInt8, _ id: UInt32) -> [UInt8] {
    var queue = ByteQueue()
    queue.append(kind)
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
    let workers = observer?.observer
    switch packet.first {
    case Report.ready:
      isReady = true
      if let why = refusal(number(at: 0), number(at: 4)) { return end(why) }
      observer?.serverIsReady(IsolationTier(flags: number(at: 8)))
    case Report.looked: observer?.serverAnswered()
    case Report.memoryExceeded:
      workers?.workerUsedTooMuch(
        id, used: Int(clamping: number(at: 4, UInt64.self)), limit: Int(clamping: number(at: 12, UInt64.self))
      )
    case Report.tooMany:
      workers?.workerStartedTooMany(id, count: Int(number(at: 4)), limit: Int(number(at: 8)))
    case Report.leftover: workers?.workerLeftSomething(id)
    case Report.notForked: workers?.workerEnded(id, .notStarted(errno: Int32(bitPattern: number(at: 4))))
    case Report.output: workers?.workerWrote(id, packet.dropFirst(5))
    case Report.outputCount: workers?.workerWroteMuch(id, Int(number(at: 4)))
    case Report.ended:
      let (status, signal) = (Int32(bitPattern: number(at: 4)), Int32(bitPattern: number(at: 8)))
      workers?.workerEnded(id, signal != 0 ? .signalled(signal) : .exited(status: status))
    default: break
    }
  }

  // MARK: Ending

  private func end(_ why: String) {
    guard control != nil else { return }
    let observer = observer
    stop()
    observer?.serverEnded(isReady ? why : "\(why) before it was ready")
  }

  /// Ends the process and its workers. `ending` says when they are gone.
  func stop() {
    guard control != nil else { return }
    if let watch { loop.unwatch(watch) }
    watch = nil
    observer = nil
    control = nil
    ending = ForkServerEnding(of: pid, on: loop)
  }

  deinit {
    precondition(control == nil, "a fork server is stopped before it is dropped")
  }
}
