internal import CLinux
internal import Glibc
internal import RPCNetwork
internal import RPCSystem
internal import RPCTransport
internal import RPCWire

/// Why an attempt on a blocking connection failed.
internal struct AttemptFailure: Error {
  var error: RPCError
  /// The call certainly did not begin on the server, through no fault of its own.
  var neverBegan = false
  var isIdempotent = false
  /// The caller's own deadline passed here, not on the server.
  var isOwnExpiry = false
  /// The server has a connection and does not answer on it.
  var isUnresponsive = false

  /// The caller's time is over.
  static func expired(_ executed: RPCError.Executed) -> AttemptFailure {
    AttemptFailure(error: .noAnswer(within: nil, executed: executed), isOwnExpiry: true)
  }
}

/// A socket whose caller waits for it: opens it, writes what is queued, reads what comes. It belongs to one thread at
/// a time.
internal final class BlockingSocket {
  internal let server: Topology.Server
  /// Nothing can be sent or received any more.
  internal var isBroken = false
  /// What `send` writes.
  internal var output = ByteQueue()
  /// What came and was not taken yet.
  internal var input = ByteQueue()
  /// How many bytes the next frame needs, where that is known.
  internal var bytesWanted = 0
  /// How long the server may be silent while a call is in flight, in nanoseconds.
  internal let silenceMax: UInt64

  private let descriptor: Descriptor
  /// What encrypts, where the server is spoken to in TLS, and the records that wait to be written.
  private let filter: (any ByteFilter)?
  private var wire = ByteQueue()
  private let options: ClientOptions

  private static let readBytes = 16 * 1024

  // MARK: Opening

  /// Connects by `deadline`, on the monotonic clock.
  internal init(
    to server: Topology.Server, from source: SourceAddress, options: ClientOptions, by deadline: UInt64
  ) throws(RPCError) {
    self.server = server
    self.options = options
    silenceMax = options.keepalive.orNever
    filter = try server.makeFilter(as: options.certificate)
    descriptor = try Self.connect(to: server, from: source, by: deadline, timeout: options.connectTimeout)
    _ = rpc_set_nonblocking(descriptor.raw, 0)
    limitReads()
  }

  private static func connect(
    to server: Topology.Server, from source: SourceAddress, by deadline: UInt64, timeout: Duration
  ) throws(RPCError) -> Descriptor {
    var failures: [(address: SocketAddress, reason: String)] = []
    let addresses: [SocketAddress]
    do {
      addresses = try SocketAddress.resolve(host: server.host, port: Int(server.port))
    } catch {
      throw RPCError(.unavailable, "\(error.plainReason): \(server.label)")
    }
    for address in addresses {
      do {
        let descriptor = try Socket.connect(to: address, from: try source.address(toReach: address))
        guard wait(descriptor.raw, for: POLLOUT, until: deadline) else {
          throw RPCError(.unavailable, "no connection to \(server.label) within \(timeout.brief)")
        }
        if let code = Socket.pendingError(of: descriptor.raw) {
          throw SystemError(code: code, operation: .connect(to: "\(address)"))
        }
        return descriptor
      } catch let error as SystemError {
        failures.append((address, source.explain(error)))
      } catch let error as RPCError {
        throw error
      } catch {
        failures.append((address, "\(error)"))
      }
    }
    throw .noConnection(to: server, failures)
  }

  /// A read without a deadline comes back after the keepalive time, to see whether the server still answers.
  private func limitReads() {
    let silence = options.keepalive.nanoseconds
    guard silence > 0 else { return }
    var time = timeval(tv_sec: Int(silence / 1_000_000_000), tv_usec: Int(silence % 1_000_000_000 / 1000))
    _ = setsockopt(
      descriptor.raw, SOL_SOCKET, SO_RCVTIMEO, &time, socklen_t(MemoryLayout<timeval>.size))
  }

  /// Wakes the thread that waits on this connection, from any thread; it is of no use afterwards.
  internal func interrupt() {
    shutdown(descriptor.raw, Int32(SHUT_RDWR))
  }

  /// What ties proofs to this connection.
  internal var channelBinding: [UInt8] { filter?.channelBinding ?? [] }

  /// The far end.
  internal var peer: SocketAddress? { SocketAddress.peer(of: descriptor.raw) }

  // MARK: Bytes

  /// Waits until the socket is ready or the deadline is over.
  internal static func wait(_ raw: Int32, for events: Int32, until deadline: UInt64) -> Bool {
    var descriptor = pollfd(fd: raw, events: Int16(events), revents: 0)
    while true {
      var milliseconds: Int32 = -1
      if deadline != .max {
        let now = SystemClock.monotonicNanoseconds()
        guard deadline > now else { return false }
        milliseconds = Int32(clamping: (deadline - now + 999_999) / 1_000_000)
      }
      let count = poll(&descriptor, 1, milliseconds)
      if count > 0 { return true }
    }
  }

  /// Writes everything that is queued. What was not wholly written when this fails did not begin.
  internal func send(by deadline: UInt64) throws(AttemptFailure) {
    guard let filter else { return try write(&output, by: deadline) }
    while !output.isEmpty {
      let before = output.count
      filter.send(&output, into: &wire)
      try write(&wire, by: deadline)
      // The handshake waits for the server.
      guard output.count == before else { continue }
      guard Self.wait(descriptor.raw, for: POLLIN, until: deadline) else { throw .expired(.no) }
      do throws(AttemptFailure) {
        _ = try fill(waiting: false)
      } catch {
        // What the filter held back was not sent.
        var failure = error
        failure.error.executed = .no
        failure.neverBegan = failure.error.exception == .unavailable
        throw failure
      }
    }
  }

  private func write(_ bytes: inout ByteQueue, by deadline: UInt64) throws(AttemptFailure) {
    while !bytes.isEmpty {
      let count = bytes.withReadable {
        Glibc.send(
          descriptor.raw, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL | MSG_DONTWAIT))
      }
      if count > 0 {
        bytes.consume(count)
        continue
      }
      let code = errno
      if code == EINTR { continue }
      guard code == EAGAIN else {
        throw lost(.failed(SystemError(code: code, operation: "write")), executed: .no)
      }
      guard Self.wait(descriptor.raw, for: POLLOUT, until: deadline) else {
        // Half a frame is out: nothing can follow it.
        isBroken = true
        throw .expired(.no)
      }
    }
  }

  /// Whether something came behind the last answer.
  internal var hasInput: Bool { !input.isEmpty }

  internal enum Wait {
    case came
    /// Nothing for as long as the server may be silent.
    case silent
    case expired
  }

  /// Waits for input.
  internal func wait(by deadline: UInt64) throws(AttemptFailure) -> Wait {
    if options.busyPoll != .zero, try spin() { return .came }
    if deadline != .max {
      let end = min(deadline, SystemClock.monotonicNanoseconds() &+ silenceMax)
      if !Self.wait(descriptor.raw, for: POLLIN, until: end) { return end == deadline ? .expired : .silent }
    }
    return try fill(waiting: true) ? .came : .silent
  }

  /// Looks for input again and again for the busy-poll time.
  private func spin() throws(AttemptFailure) -> Bool {
    let end = SystemClock.monotonicNanoseconds() &+ options.busyPoll.nanoseconds
    repeat {
      if try fill(waiting: false) { return true }
    } while SystemClock.monotonicNanoseconds() < end
    return false
  }

  /// Reads what there is; false when there is nothing yet.
  internal func fill(waiting: Bool) throws(AttemptFailure) -> Bool {
    if let filter { return try fill(through: filter, waiting: waiting) }
    let wanted = max(Self.readBytes, bytesWanted - input.count)
    var count = 0
    var code: Int32 = 0
    repeat {
      input.fill(upTo: min(wanted, 1024 * 1024)) { buffer in
        count = recv(descriptor.raw, buffer.baseAddress, buffer.count, waiting ? 0 : Int32(MSG_DONTWAIT))
        code = errno
        return max(count, 0)
      }
    } while count < 0 && code == EINTR
    if count == 0 { throw lost(.peer, executed: .maybe) }
    if count < 0 {
      guard code == EAGAIN else {
        throw lost(.failed(SystemError(code: code, operation: "read")), executed: .maybe)
      }
      return false
    }
    return true
  }

  /// Reads what there is, and passes it through the filter; false when there is nothing yet.
  private func fill(through filter: any ByteFilter, waiting: Bool) throws(AttemptFailure) -> Bool {
    var count = 0
    var code: Int32 = 0
    var failure: FilterFailure?
    withUnsafeTemporaryAllocation(byteCount: Self.readBytes, alignment: 16) { buffer in
      repeat {
        count = recv(descriptor.raw, buffer.baseAddress, buffer.count, waiting ? 0 : Int32(MSG_DONTWAIT))
        code = errno
      } while count < 0 && code == EINTR
      do throws(FilterFailure) {
        if count > 0 {
          let bytes = RawSpan(_unsafeBytes: UnsafeRawBufferPointer(rebasing: buffer[..<count]))
          try filter.receive(bytes, into: &input, answering: &wire)
        } else if count == 0 {
          try filter.inputEnded(isMidway: !input.isEmpty)
        }
      } catch {
        failure = error
      }
    }
    // What the filter has to say goes out, be it the reason of a failure.
    if !wire.isEmpty {
      try write(&wire, by: SystemClock.monotonicNanoseconds() &+ options.connectTimeout.nanoseconds)
    }
    if let failure {
      throw lost(
        .failed(
          SystemError(
            code: failure.isRefusal ? EKEYREJECTED : EPROTO, operation: "read", detail: failure.description)),
        executed: .maybe)
    }
    if count == 0 || filter.peerHasEnded && input.isEmpty { throw lost(.peer, executed: .maybe) }
    if count < 0 {
      guard code == EAGAIN else {
        throw lost(.failed(SystemError(code: code, operation: "read")), executed: .maybe)
      }
      return false
    }
    return true
  }

  // MARK: Errors

  private func lost(_ reason: CloseReason, executed: RPCError.Executed) -> AttemptFailure {
    isBroken = true
    var error = RPCError.lostConnection(to: server, reason)
    if error.exception == .unavailable { error.executed = executed }
    return AttemptFailure(error: error, neverBegan: executed == .no)
  }
}
