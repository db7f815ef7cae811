internal import CLinux
internal import Glibc
internal import RPCTransport
internal import RPCWire

/// Why an attempt on a blocking connection failed.
internal struct AttemptFailure: Error {
  var error: RPCError
  /// The call certainly did not begin on the server, through no fault of its own.
  var neverBegan = false
  var isIdempotent = false
}

/// One native connection whose calls do their input and output on the caller's own thread: a call costs one
/// write and one read, and no change of threads.
///
/// `@unchecked Sendable`: one caller at a time has it; between calls it waits in a pool, behind a lock. Only
/// `interrupt` may come from elsewhere, and touches nothing but the descriptor, which never changes.
internal final class BlockingConnection: @unchecked Sendable {
  internal let server: Topology.Server
  /// No new call may use it: it is broken, or its server goes away.
  internal private(set) var isRetired = false
  /// When a call last ended, on the monotonic clock.
  internal private(set) var lastUsed: UInt64

  private let descriptor: Descriptor
  private let options: ClientOptions
  private var decoder: FrameDecoder
  private var input = ByteQueue()
  private var output = ByteQueue()
  private var nextID: UInt64 = 1
  private var bindings: [UInt64: (id: UInt32, isIdempotent: Bool)] = [:]
  private var frameBytesMax = WireLimits.frameBytes
  private var pingNanoseconds: UInt64

  /// How long a connection may have rested before it is looked at for news before use, in nanoseconds.
  private static let restNanoseconds: UInt64 = 1_000_000
  private static let readBytes = 16 * 1024

  // MARK: Opening

  /// Connects and exchanges HELLOs, by `deadline` on the monotonic clock and within the connect timeout.
  internal init(
    to server: Topology.Server, from source: SourceAddress, identity: String?, options: ClientOptions,
    deadline: UInt64
  ) throws(RPCError) {
    self.server = server
    self.options = options
    decoder = FrameDecoder(frameBytesLimit: options.frameBytes)
    pingNanoseconds = options.pingInterval.nanoseconds
    let started = Syscall.monotonicNanoseconds()
    lastUsed = started
    let end = min(deadline, started &+ options.connectTimeout.nanoseconds)
    descriptor = try Self.connect(to: server, from: source, by: end, timeout: options.connectTimeout)
    _ = rpc_set_nonblocking(descriptor.raw, 0)
    limitReads()
    try greet(identity, by: end)
  }

  private static func connect(
    to server: Topology.Server, from source: SourceAddress, by deadline: UInt64, timeout: Duration
  ) throws(RPCError) -> Descriptor {
    var failures: [String] = []
    let addresses: [SocketAddress]
    do {
      addresses = try SocketAddress.resolve(host: server.host, port: Int(server.port))
    } catch {
      throw RPCError(.unavailable, "\(server.label) cannot be reached: \(error.operation)")
    }
    for address in addresses {
      do {
        let descriptor = try Socket.connect(to: address, from: try source.address(toReach: address))
        guard wait(descriptor.raw, for: POLLOUT, until: deadline) else {
          throw RPCError(.unavailable, "\(server.label) did not accept a connection within \(timeout)")
        }
        if let code = Socket.pendingError(of: descriptor.raw) {
          throw SystemError(code: code, operation: "connect to \(address)")
        }
        return descriptor
      } catch let error as SystemError {
        failures.append(source.explain(error))
      } catch let error as RPCError {
        throw error
      } catch {
        failures.append("\(error)")
      }
    }
    let reason = failures.isEmpty ? "'\(server.host)' has no address" : failures.joined(separator: "; ")
    throw RPCError(.unavailable, "\(server.label) cannot be reached: \(reason)")
  }

  /// A read without a deadline comes back after the ping interval, to see whether the server still lives.
  private func limitReads() {
    guard pingNanoseconds > 0 else { return }
    var time = timeval(
      tv_sec: Int(pingNanoseconds / 1_000_000_000), tv_usec: Int(pingNanoseconds % 1_000_000_000 / 1000))
    _ = setsockopt(
      descriptor.raw, SOL_SOCKET, SO_RCVTIMEO, &time, socklen_t(MemoryLayout<timeval>.size))
  }

  private func greet(_ identity: String?, by deadline: UInt64) throws(RPCError) {
    var hello = Hello(agent: options.agent, identity: identity)
    hello.frameBytes = options.frameBytes
    output.append(Preface.bytes)
    hello.encode(to: &output)
    do {
      try send(by: deadline)
      var isGreeted = false
      while !isGreeted {
        try receive(by: deadline) { [self] header, payload throws(AttemptFailure) in
          if header.kind == FrameKind.error.rawValue { throw connectionError(payload, executed: .no) }
          let hello: Hello
          do {
            guard header.kind == FrameKind.hello.rawValue else {
              throw WireError.malformedFrame("a frame of kind \(header.kind) came before the HELLO")
            }
            hello = try Hello(payload: payload)
            guard hello.version == Preface.majorVersion else {
              throw WireError.malformedFrame(
                "version \(hello.version), this client speaks \(Preface.majorVersion)")
            }
          } catch {
            throw AttemptFailure(
              error: RPCError(.protocolError, "\(server.label) does not speak this protocol: \(error)"))
          }
          frameBytesMax = hello.frameBytes
          isGreeted = true
          return true
        }
      }
    } catch {
      var reason = error.error
      reason.executed = .no
      if reason.exception == .deadlineExceeded {
        reason = RPCError(.unavailable, "\(server.label) did not say HELLO within \(options.connectTimeout)")
      }
      throw reason
    }
  }

  /// Wakes whoever waits on this connection, from any thread; it is of no use afterwards.
  internal func interrupt() {
    shutdown(descriptor.raw, Int32(SHUT_RDWR))
  }

  // MARK: Calling

  /// Whether the connection is still good after it has rested: takes in what the server told meanwhile.
  internal func isUsable(at now: UInt64) -> Bool {
    guard !isRetired, now &- lastUsed > Self.restNanoseconds else { return !isRetired }
    do {
      while try fill(Int32(MSG_DONTWAIT)) { try takeNews() }
    } catch {
      isRetired = true
    }
    return !isRetired
  }

  private func takeNews() throws(AttemptFailure) {
    _ = try deliver { [self] header, payload throws(AttemptFailure) in
      try handleControl(header, payload)
      return false
    }
  }

  /// Makes one call and waits for its answer.
  ///
  /// - Parameters:
  ///   - deadline: on the monotonic clock; `.max` for none.
  ///   - decode: takes the reply's payload, in place.
  internal func call(
    _ route: Route, options call: CallOptions, deadline: UInt64, isRetry: Bool,
    encode: (inout ByteQueue) -> Void, decode: (RawSpan) throws(WireError) -> Void
  ) throws(AttemptFailure) {
    var rebinds = 0
    defer { lastUsed = Syscall.monotonicNanoseconds() }
    while true {
      let binding = try bind(route.binding, by: deadline)
      let id = takeID()
      try queueCall(id, binding.id, call, deadline: deadline, isRetry: isRetry, encode: encode)
      var outcome = Outcome.none
      do {
        try send(by: deadline)
        while case .none = outcome {
          try receive(by: deadline) { [self] header, payload throws(AttemptFailure) in
            outcome = try handleAnswer(header, payload, to: id, route: route, decode: decode)
            if case .none = outcome { return false }
            return true
          }
        }
      } catch {
        var failure = error
        failure.isIdempotent = binding.isIdempotent
        // The answer to a call that is given up comes later, and is passed over.
        if failure.error.exception == .deadlineExceeded, !isRetired { cancel(id) }
        throw failure
      }
      guard case .failed(let error) = outcome else { return }
      guard error.exception == .staleBinding else {
        throw AttemptFailure(error: error, isIdempotent: binding.isIdempotent)
      }
      bindings[route.binding.serial] = nil
      rebinds += 1
      guard rebinds <= ClientLimits.rebindsMax else {
        throw AttemptFailure(
          error: RPCError(
            .unavailable, "\(server.label) changed its procedures \(rebinds) times during the call"))
      }
    }
  }

  private enum Outcome {
    case none
    case succeeded
    case failed(RPCError)
  }

  private func bind(
    _ key: BindingKey, by deadline: UInt64
  ) throws(AttemptFailure) -> (id: UInt32, isIdempotent: Bool) {
    if let known = bindings[key.serial] { return known }
    let id = takeID()
    let bind = Bind(
      service: key.service, procedure: key.procedure, arguments: key.argumentTypes, returns: key.returnTypes)
    bind.encode(to: &output, callID: id)
    try send(by: deadline)
    var answer: (id: UInt32, isIdempotent: Bool)?
    var refusal: RPCError?
    while answer == nil, refusal == nil {
      try receive(by: deadline) { [self] header, payload throws(AttemptFailure) in
        guard header.callID == id,
          header.kind == FrameKind.bound.rawValue || header.kind == FrameKind.error.rawValue
        else {
          try handleControl(header, payload)
          // One that goes away answers what it has, and a BIND is nothing.
          if isRetired { throw goingAway }
          return false
        }
        try decoding { () throws(WireError) in
          if header.kind == FrameKind.error.rawValue {
            refusal = try RPCError(payload: payload)
          } else {
            let bound = try Bound(payload: payload)
            answer = (bound.procedureID, bound.idempotent)
          }
        }
        return true
      }
    }
    if let refusal { throw AttemptFailure(error: refusal) }
    guard let answer else { preconditionFailure("a BIND is bound or refused") }
    if bindings.count >= ClientLimits.routesMax { bindings.removeAll() }
    bindings[key.serial] = answer
    return answer
  }

  private func queueCall(
    _ id: UInt64, _ procedureID: UInt32, _ options: CallOptions, deadline: UInt64, isRetry: Bool,
    encode: (inout ByteQueue) -> Void
  ) throws(AttemptFailure) {
    var timeout: UInt32 = 0
    if deadline != .max {
      let now = Syscall.monotonicNanoseconds()
      guard deadline > now else { throw expired(.no) }
      timeout = UInt32(clamping: (deadline - now + 999) / 1000)
    }
    var flags: FrameHeader.Flags = isRetry ? .retry : []
    if !options.metadata.isEmpty { flags.insert(.metadata) }
    let mark = CallFrame.begin(
      in: &output, callID: id, procedureID: procedureID, timeoutMicroseconds: timeout, flags: flags)
    if flags.contains(.metadata) { options.metadata.encode(to: &output) }
    encode(&output)
    output.endFrame(mark)
    let bytes = output.count - mark - FrameHeader.byteCount
    guard bytes <= frameBytesMax else {
      output.truncate(to: mark)
      throw AttemptFailure(
        error: RPCError(
          .resourceExhausted,
          "a call of \(bytes) bytes is larger than the limit of \(frameBytesMax) bytes of \(server.label)",
          actual: bytes, limit: frameBytesMax))
    }
  }

  private func handleAnswer(
    _ header: FrameHeader, _ payload: RawSpan, to id: UInt64, route: Route,
    decode: (RawSpan) throws(WireError) -> Void
  ) throws(AttemptFailure) -> Outcome {
    guard header.callID == id else {
      try handleControl(header, payload)
      return .none
    }
    switch FrameKind(rawValue: header.kind) {
    case .reply:
      do {
        try decode(payload)
      } catch {
        return .failed(Call.undecodable(error, route: route, from: server.name))
      }
      return .succeeded
    case .error:
      var answer: RPCError?
      try decoding { () throws(WireError) in answer = try RPCError(payload: payload) }
      return answer.map { .failed($0) } ?? .none
    default:
      try handleControl(header, payload)
      // Calls above the last one that the server took were not executed.
      if isRetired, header.kind == FrameKind.goAway.rawValue, header.callID < id { throw goingAway }
      return .none
    }
  }

  /// Everything that is no answer to what is being waited for.
  private func handleControl(_ header: FrameHeader, _ payload: RawSpan) throws(AttemptFailure) {
    switch FrameKind(rawValue: header.kind) {
    case .ping:
      output.appendEmptyFrame(.pong, callID: header.callID)
      try send(by: .max)
    case .generation: bindings.removeAll()
    case .goAway:
      isRetired = true
      try decoding { () throws(WireError) in
        goAwayReason = try GoAway(header: header, payload: payload).reason
      }
    case .error where header.callID == 0: throw connectionError(payload, executed: .maybe)
    // Answers to calls and BINDs that were given up.
    case .pong, .reply, .error, .bound: break
    case .hello, .bind, .call, .cancel, nil:
      throw broken("a frame of kind \(header.kind) from a server")
    }
  }

  private var goAwayReason = ""

  private var goingAway: AttemptFailure {
    AttemptFailure(
      error: RPCError(.unavailable, "\(server.label) is going away: \(goAwayReason)"), neverBegan: true)
  }

  private func cancel(_ id: UInt64) {
    output.appendEmptyFrame(.cancel, callID: id)
    // The caller has waited long enough: if the socket takes no more, disconnecting cancels as well.
    do { try send(by: 0) } catch { isRetired = true }
  }

  private func takeID() -> UInt64 {
    defer { nextID += 1 }
    return nextID
  }
}

// MARK: Errors

extension BlockingConnection {
  private func decoding(_ body: () throws(WireError) -> Void) throws(AttemptFailure) {
    do { try body() } catch { throw broken("\(error)") }
  }

  private func broken(_ what: String) -> AttemptFailure {
    isRetired = true
    return AttemptFailure(
      error: RPCError(.protocolError, "\(server.label) broke the protocol: \(what)", executed: .maybe))
  }

  private func connectionError(_ payload: RawSpan, executed: RPCError.Executed) -> AttemptFailure {
    isRetired = true
    do {
      var error = try RPCError(payload: payload)
      error.message = "\(server.label): \(error.message)"
      error.executed = executed
      return AttemptFailure(error: error)
    } catch {
      return broken("\(error)")
    }
  }

  private func lost(_ reason: String, executed: RPCError.Executed) -> AttemptFailure {
    isRetired = true
    return AttemptFailure(
      error: RPCError(
        .unavailable, "the connection to \(server.label) was lost: \(reason)", executed: executed),
      neverBegan: executed == .no)
  }

  private func expired(_ executed: RPCError.Executed) -> AttemptFailure {
    AttemptFailure(error: RPCError(.deadlineExceeded, "not answered by \(server.label)", executed: executed))
  }
}

// MARK: Bytes

extension BlockingConnection {
  /// Waits until the socket is ready or the deadline is over.
  private static func wait(_ raw: Int32, for events: Int32, until deadline: UInt64) -> Bool {
    var descriptor = pollfd(fd: raw, events: Int16(events), revents: 0)
    while true {
      var milliseconds: Int32 = -1
      if deadline != .max {
        let now = Syscall.monotonicNanoseconds()
        guard deadline > now else { return false }
        milliseconds = Int32(clamping: (deadline - now + 999_999) / 1_000_000)
      }
      let count = poll(&descriptor, 1, milliseconds)
      if count > 0 { return true }
    }
  }

  /// Writes everything that is queued. What was not wholly written when this fails did not begin.
  private func send(by deadline: UInt64) throws(AttemptFailure) {
    while !output.isEmpty {
      let count = output.withReadable {
        Glibc.send(
          descriptor.raw, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL | MSG_DONTWAIT))
      }
      if count > 0 {
        output.consume(count)
        continue
      }
      let code = errno
      if code == EINTR { continue }
      guard code == EAGAIN else {
        throw lost(SystemError(code: code, operation: "write").description, executed: .no)
      }
      guard Self.wait(descriptor.raw, for: POLLOUT, until: deadline) else {
        // Half a frame is out: nothing can follow it.
        isRetired = true
        throw expired(.no)
      }
    }
  }

  /// Hands frames to `handle` until it returns true, reading where there is none left.
  private func receive(
    by deadline: UInt64, _ handle: (FrameHeader, RawSpan) throws(AttemptFailure) -> Bool
  ) throws(AttemptFailure) {
    var isPinged = false
    while true {
      if try deliver(handle) { return }
      if options.busyPoll != .zero, try spin() { continue }
      if deadline != .max {
        guard Self.wait(descriptor.raw, for: POLLIN, until: deadline) else { throw expired(.maybe) }
      }
      if try fill(0) {
        isPinged = false
        continue
      }
      // Nothing for the whole ping interval.
      if isPinged { throw lost("no sign of life for \(options.pingTimeout)", executed: .maybe) }
      isPinged = true
      output.appendEmptyFrame(.ping, callID: 0)
      try send(by: deadline)
    }
  }

  /// Looks for input again and again for the busy-poll time.
  private func spin() throws(AttemptFailure) -> Bool {
    let end = Syscall.monotonicNanoseconds() &+ options.busyPoll.nanoseconds
    repeat {
      if try fill(Int32(MSG_DONTWAIT)) { return true }
    } while Syscall.monotonicNanoseconds() < end
    return false
  }

  /// Hands the whole frames that are there to `handle`, until it returns true; whether it did.
  private func deliver(
    _ handle: (FrameHeader, RawSpan) throws(AttemptFailure) -> Bool
  ) throws(AttemptFailure) -> Bool {
    // Moved out, so that the handler may do as it likes with this object while it looks at the bytes.
    var bytes = ByteQueue()
    swap(&bytes, &input)
    defer { swap(&bytes, &input) }
    while true {
      let header: FrameHeader?
      do {
        header = try decoder.next(in: bytes.bytes, at: 0)
      } catch {
        throw broken("\(error)")
      }
      guard let header else { return false }
      let end = FrameHeader.byteCount + Int(header.length)
      let isDone = try handle(header, bytes.bytes.extracting(FrameHeader.byteCount..<end))
      bytes.consume(end)
      if isDone { return true }
    }
  }

  /// Reads what there is; false when there is nothing yet.
  private func fill(_ flags: Int32) throws(AttemptFailure) -> Bool {
    let room = max(Self.readBytes, decoder.bytesNeeded(in: input.bytes, at: 0) - input.count)
    var count = 0
    var code: Int32 = 0
    repeat {
      input.fill(upTo: min(room, 1024 * 1024)) { buffer in
        count = recv(descriptor.raw, buffer.baseAddress, buffer.count, flags)
        code = errno
        return max(count, 0)
      }
    } while count < 0 && code == EINTR
    if count == 0 { throw lost("closed by the server", executed: .maybe) }
    if count < 0 {
      guard code == EAGAIN else {
        throw lost(SystemError(code: code, operation: "read").description, executed: .maybe)
      }
      return false
    }
    return true
  }
}
