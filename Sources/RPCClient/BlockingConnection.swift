internal import CLinux
internal import Glibc
internal import RPCKeys
internal import RPCTransport
internal import RPCWire

/// One native connection whose calls do their input and output on the caller's own thread: a call costs one
/// write and one read, and no change of threads.
///
/// `@unchecked Sendable`: one caller at a time has it; between calls it waits in a pool, behind a lock. Only
/// `interrupt` may come from elsewhere, and touches nothing but the descriptor, which never changes.
internal final class BlockingConnection: @unchecked Sendable {
  internal let server: Topology.Server
  /// When a call last ended, on the monotonic clock.
  internal private(set) var lastUsed: UInt64

  private let socket: BlockingSocket
  private var nextID: UInt64 = 1
  private var bindings: [UInt64: (id: UInt32, isIdempotent: Bool)] = [:]
  private var frameBytesMax = WireLimits.frameBytes
  private var goAwayReason = ""
  /// The server's, while it is being answered.
  private var hello: Hello?

  /// How long a connection may have rested before it is looked at for news before use, in nanoseconds.
  private static let restNanoseconds: UInt64 = 1_000_000

  /// No new call may use it: it is broken, or its server goes away.
  internal var isRetired: Bool { socket.isRetired }

  // MARK: Opening

  /// Connects and exchanges HELLOs, by `deadline` on the monotonic clock and within the connect timeout.
  internal init(
    to server: Topology.Server, from source: SourceAddress, identity: String?, options: ClientOptions,
    deadline: UInt64
  ) throws(RPCError) {
    self.server = server
    let started = Syscall.monotonicNanoseconds()
    lastUsed = started
    let end = min(deadline, started &+ options.connectTimeout.nanoseconds)
    socket = try BlockingSocket(to: server, from: source, options: options, by: end)
    try greet(identity, options, by: end)
  }

  private func greet(
    _ identity: String?, _ options: ClientOptions, by deadline: UInt64
  ) throws(RPCError) {
    let introduction = Introduction(to: server, proving: options.key)
    socket.output.append(Preface.bytes)
    introduction.hello(identity: identity, options: options).encode(to: &socket.output)
    do {
      try socket.send(by: deadline)
      while !socket.isGreeted {
        try socket.receive(by: deadline) { [self] header, payload throws(AttemptFailure) in
          if header.kind == FrameKind.error.rawValue { throw connectionError(payload, executed: .no) }
          try decoding { () throws(WireError) in
            guard header.kind == FrameKind.hello.rawValue else {
              let name = FrameKind(rawValue: header.kind)?.name ?? ""
              throw .malformedFrame("a \(name) came before the HELLO")
            }
            let hello = try Hello(payload: payload)
            guard hello.version == Preface.majorVersion else {
              throw .malformedFrame("version \(hello.version), this client speaks \(Preface.majorVersion)")
            }
            frameBytesMax = hello.frameBytes
            self.hello = hello
          }
          socket.isGreeted = true
          return true
        }
      }
      if let hello = hello.take() { try answer(hello, introduction) }
      if options.key != nil { try awaitProof(by: deadline) }
    } catch {
      var reason = error.error
      reason.executed = .no
      if reason.exception == .deadlineExceeded {
        reason = .noHello(from: server, within: options.connectTimeout)
      }
      throw reason
    }
  }

  /// Checks the server's key and proves ours, where they are asked for.
  private func answer(_ hello: Hello, _ introduction: Introduction) throws(AttemptFailure) {
    do {
      try introduction.answer(to: hello, at: socket.peer)?.encode(to: &socket.output)
    } catch {
      throw AttemptFailure(error: error)
    }
  }

  /// Waits until the server says that it knows the key.
  private func awaitProof(by deadline: UInt64) throws(AttemptFailure) {
    try socket.send(by: deadline)
    var isProven = false
    while !isProven {
      try socket.receive(by: deadline) { [self] header, payload throws(AttemptFailure) in
        isProven = header.kind == FrameKind.proof.rawValue
        if !isProven { try handleControl(header, payload) }
        return isProven
      }
    }
  }

  /// Wakes whoever waits on this connection, from any thread; it is of no use afterwards.
  internal func interrupt() { socket.interrupt() }

  // MARK: Calling

  /// Whether the connection is still good after it has rested: takes in what the server told meanwhile.
  internal func isUsable(at now: UInt64) -> Bool {
    guard !isRetired, socket.hasNews || now &- lastUsed > Self.restNanoseconds else { return !isRetired }
    do {
      try socket.receiveNews { [self] header, payload throws(AttemptFailure) in
        try handleControl(header, payload)
        return false
      }
    } catch {
      socket.isRetired = true
    }
    return !isRetired
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
        try socket.send(by: deadline)
        while case .none = outcome {
          try socket.receive(by: deadline) { [self] header, payload throws(AttemptFailure) in
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
        // What a server refuses since it goes away is nobody's attempt.
        let isRefusal = isRetired && error.exception == .unavailable && error.executed == .no
        throw AttemptFailure(error: error, neverBegan: isRefusal, isIdempotent: binding.isIdempotent)
      }
      bindings[route.binding.serial] = nil
      if isRetired { throw goingAway }
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
    bind.encode(to: &socket.output, callID: id)
    try socket.send(by: deadline)
    var answer: (id: UInt32, isIdempotent: Bool)?
    var refusal: RPCError?
    while answer == nil, refusal == nil {
      try socket.receive(by: deadline) { [self] header, payload throws(AttemptFailure) in
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
      guard deadline > now else { throw socket.expired(.no) }
      timeout = UInt32(clamping: (deadline - now + 999) / 1000)
    }
    var flags: FrameHeader.Flags = isRetry ? .retry : []
    if !options.metadata.isEmpty { flags.insert(.metadata) }
    let mark = CallFrame.begin(
      in: &socket.output, callID: id, procedureID: procedureID, timeoutMicroseconds: timeout, flags: flags)
    if flags.contains(.metadata) { options.metadata.encode(to: &socket.output) }
    encode(&socket.output)
    socket.output.endFrame(mark)
    let bytes = socket.output.count - mark - FrameHeader.byteCount
    guard bytes <= frameBytesMax else {
      socket.output.truncate(to: mark)
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
    switch FrameKind(rawValue: header.kind) {
    case .reply where header.callID == id:
      do {
        try decode(payload)
      } catch {
        return .failed(Call.undecodable(error, route: route, from: server.name))
      }
      return .succeeded
    case .error where header.callID == id:
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
      try socket.answerPing(header.callID)
    case .generation: bindings.removeAll()
    case .goAway:
      socket.isRetired = true
      try decoding { () throws(WireError) in
        goAwayReason = try GoAway(header: header, payload: payload).reason
      }
    case .error where header.callID == 0: throw connectionError(payload, executed: .maybe)
    // Answers to calls and BINDs that were given up.
    case .pong, .reply, .error, .bound: break
    case .hello: throw socket.broken(.malformedFrame("a second HELLO"))
    case .proof: throw socket.broken(.malformedFrame("a PROOF that nobody waits for"))
    case .bind, .call, .cancel, nil:
      let name = FrameKind(rawValue: header.kind)?.name ?? ""
      throw socket.broken(.malformedFrame("a server does not send \(name)"))
    }
  }

  private var goingAway: AttemptFailure {
    AttemptFailure(error: .shuttingDown(server, goAwayReason), neverBegan: true)
  }

  private func cancel(_ id: UInt64) {
    socket.output.appendEmptyFrame(.cancel, callID: id)
    // The caller has waited long enough: if the socket takes no more, disconnecting cancels as well.
    do { try socket.send(by: 0) } catch { socket.isRetired = true }
  }

  private func takeID() -> UInt64 {
    defer { nextID += 1 }
    return nextID
  }
}

// MARK: Errors

extension BlockingConnection {
  private func decoding(_ body: () throws(WireError) -> Void) throws(AttemptFailure) {
    do { try body() } catch { throw socket.broken(error) }
  }

  private func connectionError(_ payload: RawSpan, executed: RPCError.Executed) -> AttemptFailure {
    socket.isRetired = true
    do {
      var error = try RPCError(payload: payload)
      error.message = "\(server.label): \(error.message)"
      error.executed = executed
      return AttemptFailure(error: error)
    } catch {
      return socket.broken(error)
    }
  }

}
