internal import RPCNetwork
internal import RPCSystem
internal import RPCTransport
internal import RPCWire

/// One native connection whose calls do their input and output on the caller's own thread: a call costs one write and
/// one read, and no change of threads. A `BlockingSocket` around a `ClientStateMachine`.
///
/// `@unchecked Sendable`: one caller at a time has it; between calls it waits in a pool, behind a lock. Only
/// `interrupt` may come from elsewhere, and touches nothing but the descriptor, which never changes.
internal final class BlockingConnection: @unchecked Sendable {
  /// Stands for the one call that is being made.
  private final class Ticket {}

  internal let server: Topology.Server
  /// When a call last ended, on the monotonic clock.
  private var lastUsed: UInt64
  private let socket: BlockingSocket
  private let ticket = Ticket()
  private var machine: ClientStateMachine<Ticket>

  /// How long a connection may be idle before its socket is checked before use, in nanoseconds.
  private static let restNanoseconds: UInt64 = 1_000_000

  /// No new call may use it: it is broken, or its server goes away.
  internal var isRetired: Bool { socket.isBroken || !machine.isReady }

  // MARK: Opening

  /// Connects and exchanges HELLOs, by `deadline` on the monotonic clock and within the connect timeout.
  internal init(
    to server: Topology.Server, from source: SourceAddress, identity: String?, options: ClientOptions,
    deadline: UInt64
  ) throws(RPCError) {
    self.server = server
    let started = SystemClock.monotonicNanoseconds()
    lastUsed = started
    let end = min(deadline, started &+ options.connectTimeout.nanoseconds)
    socket = try BlockingSocket(to: server, from: source, options: options, by: end)
    machine = ClientStateMachine(to: server, identity: identity, options: options, at: started)
    do throws(AttemptFailure) {
      try send(by: end)
      try receive(by: end) { input throws(AttemptFailure) in
        if case .control(.goingAway) = input { throw goingAway }
        if case .control(.ready) = input { return true }
        return false
      }
    } catch {
      var reason = error.error
      if error.isOwnExpiry { reason = .noHello(from: server, within: options.connectTimeout) }
      reason.executed = .no
      throw reason
    }
  }

  /// Wakes the thread that waits on this connection, from any thread; it is of no use afterwards.
  internal func interrupt() { socket.interrupt() }

  // MARK: Calling

  /// Whether the connection is still good after it has rested: takes in what the server told meanwhile.
  internal func isUsable(at now: UInt64) -> Bool {
    guard !isRetired, socket.hasInput || now &- lastUsed > Self.restNanoseconds else { return !isRetired }
    do throws(AttemptFailure) {
      repeat { _ = try handleInput { _ in false } } while try socket.fill(waiting: false)
      try send(by: now &+ socket.silenceMax)
    } catch {
      socket.isBroken = true
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
    defer { lastUsed = SystemClock.monotonicNanoseconds() }
    while true {
      let binding = try bind(route.binding, by: deadline)
      var isStale = false
      do throws(AttemptFailure) {
        let id = try queue(binding.id, call, deadline: deadline, isRetry: isRetry, encode: encode)
        try answer(to: id, by: deadline) { input, payload throws(AttemptFailure) in
          switch input {
          case .reply:
            do throws(WireError) {
              try decode(payload)
            } catch {
              throw AttemptFailure(error: Call.undecodable(error, route: route, from: server.name))
            }
          case .control(.failed(_, let error, let neverBegan)):
            throw AttemptFailure(error: error, neverBegan: neverBegan)
          case .control(.stale): isStale = true
          case .control(.goingAway(_, let tickets)):
            if tickets.isEmpty { return false }
            throw goingAway
          default: return false
          }
          return true
        }
      } catch {
        var failure = error
        failure.isIdempotent = binding.isIdempotent
        throw failure
      }
      guard isStale else { return }
      machine.forget(route.binding)
      rebinds += 1
      guard rebinds <= ClientLimits.rebindsMax else {
        throw AttemptFailure(error: .everStale(server, rebinds))
      }
      if machine.phase == .draining { throw goingAway }
    }
  }

  private func bind(
    _ key: BindingKey, by deadline: UInt64
  ) throws(AttemptFailure) -> (id: UInt32, isIdempotent: Bool) {
    while true {
      if case .bound(let id, let isIdempotent) = machine.way(of: ticket, key) { return (id, isIdempotent) }
      do throws(AttemptFailure) {
        try send(by: deadline)
        try receive(by: deadline) { input throws(AttemptFailure) in
          switch input {
          case .control(.bound(let tickets, _, _)): return !tickets.isEmpty
          case .control(.refused(let tickets, let error, _)) where !tickets.isEmpty:
            throw AttemptFailure(error: error)
          // It came behind the BIND of a call that was given up: it asks for itself.
          case .control(.refused(_, _, let later)): return !later.isEmpty
          // One that goes away answers what it has, and a BIND is nothing.
          case .control(.goingAway): throw goingAway
          default: return false
          }
        }
      } catch {
        _ = machine.takeWaiting { _ in true }
        var failure = error
        // Only a BIND was lost: the call was not sent.
        if failure.error.executed == .maybe {
          failure.error.executed = .no
          failure.neverBegan = failure.error.exception == .unavailable
        }
        throw failure
      }
    }
  }

  private func queue(
    _ procedureID: UInt32, _ options: CallOptions, deadline: UInt64, isRetry: Bool,
    encode: (inout ByteQueue) -> Void
  ) throws(AttemptFailure) -> UInt64 {
    var timeout: UInt32 = 0
    if deadline != .max {
      let now = SystemClock.monotonicNanoseconds()
      guard deadline > now else { throw .expired(.no) }
      timeout = UInt32(clamping: (deadline - now + 999) / 1000)
    }
    var flags: FrameHeader.Flags = isRetry ? .retry : []
    if !options.metadata.isEmpty { flags.insert(.metadata) }
    takeOutput()
    do throws(RPCError) {
      return try machine.send(
        ticket, procedureID: procedureID, timeoutMicroseconds: timeout, flags: flags, into: &socket.output
      ) { queue in
        if flags.contains(.metadata) { options.metadata.encode(to: &queue) }
        encode(&queue)
      }
    } catch {
      throw AttemptFailure(error: error)
    }
  }

  private func answer(
    to id: UInt64, by deadline: UInt64,
    _ handle: (Input, RawSpan) throws(AttemptFailure) -> Bool
  ) throws(AttemptFailure) {
    do throws(AttemptFailure) {
      try socket.send(by: deadline)
      try receive(by: deadline, handle)
    } catch {
      // The answer to a call that is given up comes later, and is passed over.
      if error.isOwnExpiry, !socket.isBroken {
        machine.cancel(id)
        do { try send(by: 0) } catch { socket.isBroken = true }
      }
      throw error
    }
  }

  private var goingAway: AttemptFailure { AttemptFailure(error: machine.drainingError, neverBegan: true) }

  // MARK: Frames

  /// What came in: a reply to the call that is being made, or another frame.
  private enum Input {
    case reply
    case control(ClientStateMachine<Ticket>.Event)
  }

  private func receive(
    by deadline: UInt64, _ handle: (Input) throws(AttemptFailure) -> Bool
  ) throws(AttemptFailure) {
    try receive(by: deadline) { input, _ throws(AttemptFailure) in try handle(input) }
  }

  /// Hands what comes to `handle` until it returns true, and keeps the connection alive meanwhile.
  private func receive(
    by deadline: UInt64, _ handle: (Input, RawSpan) throws(AttemptFailure) -> Bool
  ) throws(AttemptFailure) {
    var pinged: UInt64 = 0
    while try !handleInput(handle) {
      if !socket.output.isEmpty {
        try socket.send(by: min(deadline, SystemClock.monotonicNanoseconds() &+ socket.silenceMax))
      }
      switch try socket.wait(by: deadline) {
      case .came: pinged = 0
      case .expired: throw .expired(.maybe)
      case .silent where pinged > 0:
        socket.isBroken = true
        throw AttemptFailure(
          error: .noPong(from: server, within: .nanoseconds(Int64(socket.silenceMax))), isUnresponsive: true)
      case .silent:
        pinged = machine.ping(at: SystemClock.monotonicNanoseconds())
        takeOutput()
      }
    }
  }

  private func handleInput(_ handle: (Input) throws(AttemptFailure) -> Bool) throws(AttemptFailure) -> Bool {
    try handleInput { input, _ throws(AttemptFailure) in try handle(input) }
  }

  /// Hands the whole frames that are there to `handle`, until it returns true; whether it did.
  private func handleInput(
    _ handle: (Input, RawSpan) throws(AttemptFailure) -> Bool
  ) throws(AttemptFailure) -> Bool {
    // Moved out, so that the handler may do as it likes with the socket while it looks at the bytes.
    var bytes = ByteQueue()
    swap(&bytes, &socket.input)
    defer { swap(&bytes, &socket.input) }
    var outcome = Result<Bool, AttemptFailure>.success(false)
    do throws(WireError) {
      while case .success(false) = outcome, let header = try machine.frame(in: bytes.bytes, at: 0) {
        let end = FrameHeader.byteCount + Int(header.length)
        outcome = try handleFrame(header, bytes.bytes.extracting(FrameHeader.byteCount..<end), handle)
        bytes.consume(end)
      }
      if case .success(false) = outcome {
        try machine.checkRest(bytes.bytes)
        socket.bytesWanted = machine.bytesNeeded(in: bytes.bytes, at: 0)
      }
    } catch {
      socket.isBroken = true
      throw AttemptFailure(error: machine.broken(error, bytes.bytes))
    }
    return try outcome.get()
  }

  private func handleFrame(
    _ header: FrameHeader, _ payload: RawSpan, _ handle: (Input, RawSpan) throws(AttemptFailure) -> Bool
  ) throws(WireError) -> Result<Bool, AttemptFailure> {
    var input = Input.reply
    if header.kind == FrameKind.reply.rawValue {
      if try machine.reply(header.callID) == nil { return .success(false) }
    } else {
      let event = try machine.control(
        header, payload, at: SystemClock.monotonicNanoseconds(), channel: socket.channelBinding
      ) { socket.peer }
      takeOutput()
      if case .ended(let error) = event {
        socket.isBroken = true
        return .failure(AttemptFailure(error: error))
      }
      input = .control(event)
    }
    do throws(AttemptFailure) {
      return .success(try handle(input, payload))
    } catch {
      return .failure(error)
    }
  }

  private func takeOutput() {
    socket.output.append(contentsOf: machine.output)
    machine.output.removeAll()
  }

  private func send(by deadline: UInt64) throws(AttemptFailure) {
    takeOutput()
    try socket.send(by: deadline)
  }
}
