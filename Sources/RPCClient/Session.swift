internal import RPCTransport
internal import RPCWire

/// One native connection to a server: HELLO, bindings, the calls on the wire and their answers. It lives on
/// the loop's thread; what happens to it it tells its channel.
internal final class Session: ConnectionHandler, TimerTarget {
  internal enum Phase {
    /// The server's HELLO has not come.
    case handshaking
    case up
    /// The server said GOAWAY: it answers what it has, and gets nothing new.
    case draining
    case closed
  }

  internal let channel: ClientChannel
  private let connection: Connection
  private let loop: EventLoop
  internal private(set) var phase = Phase.handshaking
  internal private(set) var generation = 0
  internal private(set) var roundTrip: Duration?
  /// Answers of any kind: a session that gave one was a good one.
  internal private(set) var answers: UInt64 = 0
  internal let opened: UInt64

  private var decoder: FrameDecoder
  private var nextID: UInt64 = 1
  private var pending = PendingTable<Call>()
  private var bindings = BindingTable()
  /// Calls beyond what the server takes at once, oldest first.
  private var backlog = CallQueue()
  private var frameBytesMax = WireLimits.frameBytes
  private var callsMax = WireLimits.callsPerConnection
  /// Bytes put into the stream so far, sent or not.
  private var queuedBytes: UInt64 = 0
  private var failure: RPCError?

  private var pingNanoseconds: UInt64 = 0
  private var livenessTimer: TimerID?
  private var livenessPing: UInt64?
  private var pings: [UInt64: (started: UInt64, completion: ((Result<Duration, RPCError>) -> Void)?)] = [:]

  internal init(channel: ClientChannel, connection: Connection, loop: EventLoop) {
    self.channel = channel
    self.connection = connection
    self.loop = loop
    opened = loop.now
    decoder = FrameDecoder(frameBytesLimit: channel.core.options.frameBytes)
  }

  /// Introduces the client; calls may be given to the session at once.
  internal func start() throws(SystemError) {
    try connection.start(self)
    var hello = Hello(agent: channel.core.options.agent, identity: channel.core.identity)
    hello.frameBytes = channel.core.options.frameBytes
    write { queue in
      queue.append(Preface.bytes)
      hello.encode(to: &queue)
    }
  }

  internal var isOpen: Bool { phase != .closed }
  internal var isReady: Bool { phase == .up }

  // MARK: Sending

  /// Sends a call, now or when its binding and the server's limits allow.
  internal func send(_ call: Call) {
    guard pending.count + bindings.waitingCount < callsMax, backlog.isEmpty else {
      guard backlog.count < ClientLimits.waitingCallsMax else {
        return channel.core.attemptFailed(
          call,
          RPCError(
            .resourceExhausted, "\(backlog.count) calls wait for \(channel.server.label)",
            actual: backlog.count, limit: ClientLimits.waitingCallsMax))
      }
      backlog.append(call)
      return
    }
    sendWithinLimits(call)
  }

  private func sendWithinLimits(_ call: Call) {
    let key = call.route.binding
    switch bindings.state(of: key) {
    case .bound(let id, let isIdempotent): transmit(call, procedureID: id, isIdempotent: isIdempotent)
    case .binding: bindings.wait(call)
    case .unbound:
      let id = takeID()
      bindings.begin(key, callID: id)
      bindings.wait(call)
      let bind = Bind(
        service: key.service, procedure: key.procedure, arguments: key.argumentTypes, returns: key.returnTypes
      )
      write { bind.encode(to: &$0, callID: id) }
    }
  }

  private func transmit(_ call: Call, procedureID: UInt32, isIdempotent: Bool) {
    let remaining = call.remaining(at: loop.now)
    // The deadline's own timer ends the call, with the better message.
    if remaining == 0 { return }
    // A deadline is never rounded down to none.
    let timeout = remaining.map { UInt32(clamping: ($0 + 999) / 1000) } ?? 0
    call.isIdempotent = isIdempotent
    let id = takeID()
    var frameBytes = 0
    write { queue in
      let start = queue.count
      var flags: FrameHeader.Flags = call.mayHaveExecuted ? .retry : []
      if !call.options.metadata.isEmpty { flags.insert(.metadata) }
      let mark = CallFrame.begin(
        in: &queue, callID: id, procedureID: procedureID, timeoutMicroseconds: timeout, flags: flags)
      if flags.contains(.metadata) { call.options.metadata.encode(to: &queue) }
      queue.append(call.arguments.bytes)
      queue.endFrame(mark)
      frameBytes = queue.count - start - FrameHeader.byteCount
      if frameBytes > frameBytesMax { queue.truncate(to: start) }
    }
    guard frameBytes <= frameBytesMax else {
      return channel.core.attemptFailed(
        call,
        RPCError(
          .resourceExhausted,
          "a call of \(frameBytes) bytes is larger than the limit of \(frameBytesMax) bytes of \(channel.server.label)",
          actual: frameBytes, limit: frameBytesMax))
    }
    call.phase = .sent
    call.session = self
    call.callID = id
    pending.insert(id, call, frameEnd: queuedBytes)
  }

  /// Ends a call whose caller has gone; its answer is still counted.
  internal func cancel(_ call: Call) {
    guard call.session === self, isOpen else { return }
    pending.abandon(call.callID)
    call.session = nil
    write { $0.appendEmptyFrame(.cancel, callID: call.callID) }
  }

  private func takeID() -> UInt64 {
    defer { nextID += 1 }
    return nextID
  }

  /// Appends to the stream and keeps count, so that a lost connection tells what had left.
  private func write(_ body: (inout ByteQueue) -> Void) {
    connection.send { queue in
      let before = queue.count
      body(&queue)
      queuedBytes &+= UInt64(queue.count - before)
    }
  }

  // MARK: Receiving

  internal func received(_ bytes: RawSpan, into output: inout ByteQueue, on connection: Connection) -> Int {
    var offset = 0
    do {
      while let header = try decoder.next(in: bytes, at: offset) {
        let start = offset + FrameHeader.byteCount
        offset = start + Int(header.length)
        try handle(header, bytes.extracting(start..<offset))
        guard isOpen else { return bytes.byteCount }
      }
    } catch {
      let problem =
        phase == .handshaking
        ? "\(channel.server.label) does not speak this protocol: \(error)"
        : "\(channel.server.label) broke the protocol: \(error)"
      close(RPCError(.protocolError, problem, executed: .maybe))
      return bytes.byteCount
    }
    connection.bytesWanted = decoder.bytesNeeded(in: bytes, at: offset)
    return offset
  }

  private func handle(_ header: FrameHeader, _ payload: RawSpan) throws(WireError) {
    // The kind was checked by the decoder.
    guard let kind = FrameKind(rawValue: header.kind) else { throw .unknownFrameKind(header.kind) }
    if phase == .handshaking, kind != .hello, kind != .error, kind != .goAway {
      throw .malformedFrame("a \(kind) came before the HELLO")
    }
    switch kind {
    case .reply: try handleReply(header.callID, payload)
    case .error: try handleError(header.callID, RPCError(payload: payload))
    case .bound: try handleBound(header.callID, Bound(payload: payload))
    case .hello: try handleHello(Hello(payload: payload))
    case .ping: write { $0.appendEmptyFrame(.pong, callID: header.callID) }
    case .pong: handlePong(header.callID)
    case .goAway: handleGoAway(try GoAway(header: header, payload: payload))
    case .generation:
      generation = Int(clamping: header.callID)
      bindings.forgetAll()
      channel.generationChanged(self)
    case .bind, .call, .cancel: throw .malformedFrame("a server does not send \(kind)")
    }
  }

  private func handleReply(_ callID: UInt64, _ payload: RawSpan) throws(WireError) {
    guard let entry = pending.remove(callID) else {
      throw .malformedFrame("a reply to no call (id \(callID))")
    }
    answers &+= 1
    if let call = entry.payload { channel.core.succeeded(call, payload, from: channel) }
    if !backlog.isEmpty { sendBacklog() }
    closeIfDrained()
  }

  private func handleError(_ callID: UInt64, _ error: RPCError) throws(WireError) {
    if callID == 0 {
      var error = error
      error.message = "\(channel.server.label): \(error.message)"
      return close(error)
    }
    if let calls = bindings.failed(callID) {
      for call in calls { channel.core.attemptFailed(call, error) }
    } else {
      guard let entry = pending.remove(callID) else {
        throw .malformedFrame("an error of no call (id \(callID))")
      }
      answers &+= 1
      if let call = entry.payload { failed(call, error) }
    }
    if !backlog.isEmpty { sendBacklog() }
    closeIfDrained()
  }

  private func failed(_ call: Call, _ error: RPCError) {
    call.session = nil
    guard error.exception == .staleBinding else { return channel.core.attemptFailed(call, error) }
    call.rebinds += 1
    guard call.rebinds <= ClientLimits.rebindsMax else {
      return channel.core.attemptFailed(
        call,
        RPCError(
          .unavailable, "\(channel.server.label) changed its procedures \(call.rebinds) times during the call"
        ))
    }
    bindings.forget(call.route.binding)
    call.phase = .waiting
    if phase == .draining { return channel.core.neverBegan(call, drainingError) }
    send(call)
  }

  private func handleBound(_ callID: UInt64, _ bound: Bound) throws(WireError) {
    guard let calls = bindings.succeeded(callID, bound) else {
      throw .malformedFrame("a BOUND of no BIND (id \(callID))")
    }
    for call in calls where call.phase == .waiting {
      transmit(call, procedureID: bound.procedureID, isIdempotent: bound.idempotent)
    }
    if !backlog.isEmpty { sendBacklog() }
  }

  private func sendBacklog() {
    while phase != .draining, isOpen, pending.count + bindings.waitingCount < callsMax,
      let call = backlog.popFirst()
    {
      if call.phase == .waiting { sendWithinLimits(call) }
    }
  }

  // MARK: The connection's own life

  private func handleHello(_ hello: Hello) throws(WireError) {
    guard phase == .handshaking else { throw .malformedFrame("a second HELLO") }
    guard hello.version == Preface.majorVersion else {
      throw .malformedFrame("version \(hello.version), this client speaks \(Preface.majorVersion)")
    }
    phase = .up
    frameBytesMax = hello.frameBytes
    callsMax = max(1, hello.callsInFlight)
    generation = hello.generation
    roundTrip = .nanoseconds(Int64(clamping: loop.now &- opened))
    let wish = UInt64(hello.pingMilliseconds) * 1_000_000
    pingNanoseconds = wish > 0 ? wish : channel.core.options.pingInterval.nanoseconds
    if pingNanoseconds > 0 { livenessTimer = loop.schedule(after: pingNanoseconds, self) }
    channel.sessionReady(self)
  }

  private func handleGoAway(_ goAway: GoAway) {
    guard phase != .draining else { return }
    phase = .draining
    drainingError = RPCError(.unavailable, "\(channel.server.label) is going away: \(goAway.reason)")
    channel.sessionDraining(self, reason: goAway.reason)
    moveOn(pending.removeAll(above: goAway.lastCallID).compactMap(\.payload))
  }

  /// The channel uses another connection from now on: this one ends when everything is answered.
  internal func retire() {
    guard isOpen else { return }
    phase = .draining
    drainingError = RPCError(.unavailable, "\(channel.server.label) moved to another address")
    moveOn([])
  }

  /// Sends the calls that did not begin here, and those that wait, somewhere else.
  private func moveOn(_ calls: [Call]) {
    var refused = calls + bindings.removeAllWaiting()
    while let call = backlog.popFirst() { refused.append(call) }
    for call in refused {
      call.session = nil
      channel.core.neverBegan(call, drainingError)
    }
    closeIfDrained()
  }

  private var drainingError = RPCError(.unavailable, "the server is going away")

  private func closeIfDrained() {
    if phase == .draining, pending.count == 0 { close(nil) }
  }

  internal func inputEnded(on connection: Connection) {
    close(lost("closed by the server"))
  }

  internal func closed(_ connection: Connection, reason: CloseReason) {
    let error = failure ?? (reason == .local ? nil : lost("\(reason)"))
    tearDown(error)
  }

  private func lost(_ reason: String) -> RPCError {
    RPCError(.unavailable, "the connection to \(channel.server.label) was lost: \(reason)", executed: .maybe)
  }

  /// Ends the connection; every call on it fails with `error`, or as cancelled when there is none.
  internal func close(_ error: RPCError?) {
    guard isOpen else { return }
    failure = error
    connection.close()
  }

  private func tearDown(_ error: RPCError?) {
    guard isOpen else { return }
    phase = .closed
    if let livenessTimer { loop.cancel(livenessTimer) }
    let sent = connection.bytesSent
    let reason =
      error
      ?? RPCError(.unavailable, "the connection to \(channel.server.label) was closed", executed: .maybe)
    let entries = pending.removeAll()
    var unsent = bindings.removeAllWaiting()
    while let call = backlog.popFirst() { unsent.append(call) }
    let waitingPings = pings.values.compactMap(\.completion)
    pings = [:]
    channel.sessionEnded(self, error)
    for entry in entries {
      guard let call = entry.payload else { continue }
      call.session = nil
      // A frame whose last byte never left was not understood either.
      if entry.frameEnd > sent {
        channel.core.neverBegan(call, reason)
      } else {
        var error = reason
        error.executed = .maybe
        channel.core.attemptFailed(call, error)
      }
    }
    for call in unsent { channel.core.neverBegan(call, reason) }
    for completion in waitingPings { completion(.failure(reason)) }
  }

  // MARK: Signs of life

  /// Asks the server for a sign of life and tells how long it took.
  internal func ping(_ completion: @escaping (Result<Duration, RPCError>) -> Void) {
    _ = sendPing(completion)
  }

  private func sendPing(_ completion: ((Result<Duration, RPCError>) -> Void)?) -> UInt64 {
    let id = takeID()
    pings[id] = (Syscall.monotonicNanoseconds(), completion)
    write { $0.appendEmptyFrame(.ping, callID: id) }
    return id
  }

  private func handlePong(_ id: UInt64) {
    // A PONG nobody waits for does no harm.
    guard let ping = pings.removeValue(forKey: id) else { return }
    if id == livenessPing {
      livenessPing = nil
      if let livenessTimer { loop.cancel(livenessTimer) }
      livenessTimer = loop.schedule(after: pingNanoseconds, self)
    }
    let duration = Duration.nanoseconds(Int64(clamping: Syscall.monotonicNanoseconds() &- ping.started))
    roundTrip = duration
    channel.roundTripMeasured(self)
    ping.completion?(.success(duration))
  }

  internal func timerFired(tag: UInt64, on loop: EventLoop) {
    guard isOpen else { return }
    let silence = loop.now &- connection.lastReceived
    if livenessPing != nil {
      let patience = channel.core.options.pingTimeout
      guard silence < patience.nanoseconds else {
        return close(lost("no sign of life for \(patience)"))
      }
      livenessTimer = loop.schedule(after: patience.nanoseconds - silence, self)
    } else if silence >= pingNanoseconds {
      livenessPing = sendPing(nil)
      livenessTimer = loop.schedule(after: channel.core.options.pingTimeout.nanoseconds, self)
    } else {
      livenessTimer = loop.schedule(after: pingNanoseconds - silence, self)
    }
  }
}
