internal import RPCKeys
internal import RPCTransport
internal import RPCWire

/// One native connection to a server: HELLO, bindings, the calls on the wire and their answers. It lives on
/// the loop's thread; what happens to it it tells its channel.
///
/// What is marked `@exclusivity(unchecked)` is used in passing only, by methods that call nobody meanwhile.
internal final class Session: ConnectionHandler, TimerTarget {
  internal enum Phase {
    /// The server's HELLO has not come.
    case handshaking
    /// It came, and our proof of a key is on its way.
    case proving
    case up
    /// The server said GOAWAY: it answers what it has, and gets nothing new.
    case draining
    case closed
  }

  internal let channel: ClientChannel
  internal let connection: Connection
  internal let loop: EventLoop
  @exclusivity(unchecked) internal var phase = Phase.handshaking
  internal var generation = 0
  internal var roundTrip: Duration?
  /// Answers of any kind: a session that gave one was a good one.
  @exclusivity(unchecked) internal var answers: UInt64 = 0
  internal let opened: UInt64
  internal let introduction: Introduction

  @exclusivity(unchecked) internal var decoder: FrameDecoder
  @exclusivity(unchecked) internal var nextID: UInt64 = 1
  @exclusivity(unchecked) internal var pending = PendingTable<Call>()
  @exclusivity(unchecked) internal var bindings = BindingTable()
  /// Calls beyond what the server takes at once, oldest first.
  @exclusivity(unchecked) internal var backlog = CallQueue()
  @exclusivity(unchecked) internal var frameBytesMax = WireLimits.frameBytes
  @exclusivity(unchecked) internal var callsMax = WireLimits.callsPerConnection
  /// Bytes put into the stream so far, sent or not.
  @exclusivity(unchecked) internal var queuedBytes: UInt64 = 0
  /// Why the connection is being closed, where that is our doing.
  internal var failure: RPCError?
  /// What calls are told that come while the server goes away.
  internal var drainingError = RPCError(.unavailable, "the server is going away")

  /// Ids above this one belong to calls that the server did not take, since it went away.
  internal var lastTakenID = UInt64.max

  internal let keepaliveNanoseconds: UInt64
  internal var idlePingNanoseconds: UInt64 = 0
  /// When the first of the calls in flight was sent, on the loop's clock.
  @exclusivity(unchecked) internal var busySince: UInt64 = 0
  internal var keepaliveTimer: TimerID?
  /// When the timer fires; `.max` without one, 0 until the server has answered.
  @exclusivity(unchecked) internal var keepaliveDue: UInt64 = 0
  /// The PING that a silent server has to answer.
  internal var keepalivePing: (id: UInt64, sent: UInt64)?
  /// It did not.
  internal var isUnresponsive = false
  internal var pings: [UInt64: (started: UInt64, completion: ((Result<Duration, RPCError>) -> Void)?)] = [:]

  internal init(channel: ClientChannel, connection: Connection, loop: EventLoop) {
    self.channel = channel
    self.connection = connection
    self.loop = loop
    opened = loop.now
    introduction = Introduction(to: channel.server, proving: channel.core.options.key)
    decoder = FrameDecoder(frameBytesLimit: channel.core.options.frameBytes)
    keepaliveNanoseconds = channel.core.options.keepalive.orNever
  }

  /// Introduces the client; calls may be given to the session at once.
  internal func start() throws(SystemError) {
    try connection.start(self)
    let hello = introduction.hello(identity: channel.core.identity, options: channel.core.options)
    write { queue in
      queue.append(Preface.bytes)
      hello.encode(to: &queue)
    }
  }

  internal var isOpen: Bool { phase != .closed }
  internal var isReady: Bool { phase == .up }

  /// Whether a call would be a stranger's, or go to one: a key is not proven yet.
  private var isStranger: Bool {
    phase == .proving || phase == .handshaking && introduction.provesKeys
  }

  // MARK: Sending

  /// Sends a call, now or when its binding and the server's limits allow.
  internal func send(_ call: Call) {
    guard pending.count + bindings.waitingCount < callsMax, backlog.isEmpty, !isStranger else {
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
    case .bound(let id, let isIdempotent):
      transmit(call, procedureID: id, isIdempotent: isIdempotent)
      layShortcut(call.route, id, isIdempotent)
    case .binding: bindings.wait(call)
    case .unbound:
      bind(key, for: [call])
    }
  }

  private func bind(_ key: BindingKey, for calls: [Call]) {
    let id = takeID()
    bindings.begin(key, calls, callID: id)
    let bind = Bind(
      service: key.service, procedure: key.procedure, arguments: key.argumentTypes, returns: key.returnTypes)
    write { bind.encode(to: &$0, callID: id) }
    if pending.count == 0 { becameBusy() }
  }

  /// Calls of a route that leads here alone need not look for their way again.
  private func layShortcut(_ route: Route, _ id: UInt32, _ isIdempotent: Bool) {
    guard phase == .up, route.onlyChannel === channel else { return }
    route.shortcut = Unmanaged.passUnretained(self)
    route.shortcutEpoch = channel.core.epoch
    route.procedureID = id
    route.isIdempotent = isIdempotent
  }

  /// Sends a call whose route has a shortcut.
  internal func sendBound(_ call: Call, on route: Route) {
    call.channel = channel
    guard pending.count + bindings.waitingCount < callsMax, backlog.isEmpty else { return send(call) }
    transmit(call, procedureID: route.procedureID, isIdempotent: route.isIdempotent)
  }

  /// Calls here that are not answered.
  internal var load: Int { pending.count + waitingCount }

  /// Calls here that were not sent.
  internal var waitingCount: Int { bindings.waitingCount + backlog.count }
  internal var waitingCalls: [Call] { bindings.waitingCalls + backlog.elements }

  internal func takeWaiting(where isTaken: (Call) -> Bool = { _ in true }) -> [Call] {
    bindings.takeWaiting(where: isTaken) + backlog.take(where: isTaken)
  }

  private func transmit(_ call: Call, procedureID: UInt32, isIdempotent: Bool) {
    var timeout: UInt32 = 0
    if let remaining = call.remaining(at: loop.now) {
      // The deadline's own timer ends the call, with the better message.
      if remaining == 0 { return }
      // A deadline is never rounded down to none.
      timeout = UInt32(clamping: (remaining + 999) / 1000)
    }
    var flags: FrameHeader.Flags = call.mayHaveExecuted ? .retry : []
    if call.metadata != nil { flags.insert(.metadata) }
    let id = takeID()
    var bytes = 0
    connection.send { queue in
      let start = CallFrame.begin(
        in: &queue, callID: id, procedureID: procedureID, timeoutMicroseconds: timeout, flags: flags)
      if let metadata = call.metadata { metadata.encode(to: &queue) }
      call.arguments.withReadable { queue.append(RawSpan(_unsafeBytes: $0)) }
      queue.endFrame(start)
      bytes = queue.count - start
      if bytes > frameBytesMax + FrameHeader.byteCount { queue.truncate(to: start) }
    }
    guard bytes <= frameBytesMax + FrameHeader.byteCount else {
      return refuse(call, bytes - FrameHeader.byteCount)
    }
    queuedBytes &+= UInt64(bytes)
    call.isIdempotent = isIdempotent
    call.phase = .sent
    call.session = self
    call.callID = id
    pending.insert(id, call, frameEnd: queuedBytes)
    if pending.count == 1 { becameBusy() }
  }

  private func refuse(_ call: Call, _ bytes: Int) {
    channel.core.attemptFailed(
      call,
      RPCError(
        .resourceExhausted,
        "a call of \(bytes) bytes is larger than the limit of \(frameBytesMax) bytes of \(channel.server.label)",
        actual: bytes, limit: frameBytesMax))
  }

  /// Ends a call whose caller has gone; its answer is still counted.
  internal func cancel(_ call: Call) {
    guard call.session === self, isOpen else { return }
    pending.abandon(call.callID)
    call.session = nil
    write { $0.appendEmptyFrame(.cancel, callID: call.callID) }
  }

  internal func takeID() -> UInt64 {
    defer { nextID += 1 }
    return nextID
  }

  /// Appends to the stream and keeps count, so that a lost connection tells what had left.
  internal func write(_ body: (inout ByteQueue) -> Void) {
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
      close(
        .brokenProtocol(
          by: channel.server, error, first: phase == .handshaking ? bytes.extracting(offset...) : nil))
      return bytes.byteCount
    }
    // What is no frame may be too short to be read as one.
    if phase == .handshaking, ForeignServer.recognise(bytes.extracting(offset...)) != nil {
      close(.brokenProtocol(by: channel.server, .truncated, first: bytes.extracting(offset...)))
      return bytes.byteCount
    }
    connection.bytesWanted = decoder.bytesNeeded(in: bytes, at: offset)
    return offset
  }

  private func handle(_ header: FrameHeader, _ payload: RawSpan) throws(WireError) {
    // The kind was checked by the decoder.
    guard let kind = FrameKind(rawValue: header.kind) else { throw .unknownFrameKind(header.kind) }
    if phase == .handshaking, kind != .hello, kind != .error, kind != .goAway {
      throw .malformedFrame("a \(kind.name) came before the HELLO")
    }
    guard kind != .proof || phase == .proving else { throw .malformedFrame("a PROOF that nobody waits for") }
    switch kind {
    case .reply: try handleReply(header.callID, payload)
    case .error: try handleError(header.callID, RPCError(payload: payload))
    case .bound: try handleBound(header.callID, Bound(payload: payload))
    case .hello: try handleHello(Hello(payload: payload))
    case .ping: write { $0.appendEmptyFrame(.pong, callID: header.callID) }
    case .pong: handlePong(header.callID)
    case .proof: becomeReady()
    case .goAway: handleGoAway(try GoAway(header: header, payload: payload))
    case .generation:
      generation = Int(clamping: header.callID)
      bindings.forgetAll()
      channel.generationChanged(self)
    case .bind, .call, .cancel: throw .malformedFrame("a server does not send \(kind.name)")
    }
  }

  private func handleReply(_ callID: UInt64, _ payload: RawSpan) throws(WireError) {
    switch pending.remove(callID) {
    case .payload(let call): channel.core.succeeded(call, payload)
    case .abandoned: break
    // It was given to another server when this one went away.
    case .unknown where callID > lastTakenID: return
    case .unknown: throw .malformedFrame("a REPLY to no call (id \(callID))")
    }
    answers &+= 1
    if !backlog.isEmpty { sendBacklog() }
    closeIfDrained()
  }

  private func handleError(_ callID: UInt64, _ error: RPCError) throws(WireError) {
    if callID == 0 {
      var error = error
      error.message = "\(channel.server.label): \(error.message)"
      return close(error)
    }
    if let (first, later) = bindings.failed(callID) {
      for call in first { channel.core.attemptFailed(call, error) }
      bindAgain(later)
    } else {
      switch pending.remove(callID) {
      case .payload(let call): failed(call, error)
      case .abandoned: break
      case .unknown where callID > lastTakenID: return
      case .unknown: throw .malformedFrame("an ERROR of no call (id \(callID))")
      }
      answers &+= 1
    }
    if !backlog.isEmpty { sendBacklog() }
    closeIfDrained()
  }

  /// Calls of one binding that came while a BIND was on its way, which failed: it may have been refused before they
  /// were made, by the generation before. So they ask again, together.
  private func bindAgain(_ calls: [Call]) {
    let calls = calls.filter { $0.phase == .waiting }
    guard let key = calls.first?.route.binding else { return }
    if phase != .draining { return bind(key, for: calls) }
    for call in calls { channel.core.attemptFailed(call, drainingError, neverBegan: true) }
  }

  private func failed(_ call: Call, _ error: RPCError) {
    call.session = nil
    guard error.exception == .staleBinding else {
      // What a server refuses since it goes away is nobody's attempt.
      let isRefusal = phase == .draining && error.exception == .unavailable && error.executed == .no
      return channel.core.attemptFailed(call, error, neverBegan: isRefusal)
    }
    let history = call.history
    history.rebinds += 1
    guard history.rebinds <= ClientLimits.rebindsMax else {
      return channel.core.attemptFailed(
        call,
        RPCError(
          .unavailable,
          "\(channel.server.label) changed its procedures \(history.rebinds) times during the call"
        ))
    }
    bindings.forget(call.route.binding)
    channel.core.forgetShortcuts()
    call.phase = .waiting
    if phase == .draining { return channel.core.attemptFailed(call, drainingError, neverBegan: true) }
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

  internal func sendBacklog() {
    while phase != .draining, isOpen, pending.count + bindings.waitingCount < callsMax,
      let call = backlog.popFirst()
    {
      if call.phase == .waiting { sendWithinLimits(call) }
    }
  }
}
