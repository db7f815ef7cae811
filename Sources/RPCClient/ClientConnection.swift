internal import RPCSystem
internal import RPCTransport
internal import RPCWire

/// One native connection of the loop's client: the socket, the timer and the callers around a `ClientStateMachine`. It
/// lives on the loop's thread; what happens to it it reports to its channel.
///
/// What is marked `@exclusivity(unchecked)` is used in passing only, by methods that call nobody meanwhile.
internal final class ClientConnection: ConnectionHandler, TimerTarget {
  internal let channel: ClientChannel
  internal let loop: EventLoop
  internal let opened: UInt64
  @exclusivity(unchecked) internal var machine: ClientStateMachine<Call>
  /// The server did not answer a PING.
  internal private(set) var isUnresponsive = false

  private let connection: Connection
  /// Calls beyond what the server takes at once, oldest first.
  @exclusivity(unchecked) private var backlog = CallQueue()
  /// Why the connection is being closed, where that is our doing.
  private var failure: RPCError?
  private var keepaliveTimer: TimerID?
  /// Those who wait for a PONG.
  private var pings: [UInt64: (Result<Duration, RPCError>) -> Void] = [:]

  internal init(channel: ClientChannel, connection: Connection, loop: EventLoop) {
    self.channel = channel
    self.connection = connection
    self.loop = loop
    opened = loop.now
    machine = ClientStateMachine(
      to: channel.server, identity: channel.core.identity, options: channel.core.options, at: loop.now)
  }

  /// Introduces the client; calls may be given to the connection at once.
  internal func start() throws(SystemError) {
    try connection.start(self)
    flushOutput()
  }

  internal var isReady: Bool { machine.isReady }

  /// Lets the frames of the machine leave, before anything else is written.
  private func flushOutput() {
    guard !machine.output.isEmpty else { return }
    connection.send { $0.append(contentsOf: machine.output) }
    machine.output.removeAll()
  }

  // MARK: Sending

  /// Sends a call, now or when its binding and the server's limits allow.
  internal func send(_ call: Call) {
    guard machine.takesCalls, backlog.isEmpty else {
      guard backlog.count < ClientLimits.waitingCallsMax else {
        return channel.core.attemptFailed(
          call,
          RPCError(
            .resourceExhausted, "\(backlog.count) calls wait for \(channel.server.label)",
            actual: backlog.count, limit: ClientLimits.waitingCallsMax, unit: .calls))
      }
      backlog.append(call)
      return
    }
    sendWithinLimits(call)
  }

  private func sendWithinLimits(_ call: Call) {
    let wasIdle = machine.pendingCount == 0
    switch machine.way(of: call, call.route.binding) {
    case .bound(let id, let isIdempotent):
      transmit(call, procedureID: id, isIdempotent: isIdempotent)
      setShortcut(call.route, id, isIdempotent)
    case .waits:
      flushOutput()
      if wasIdle, machine.keepalive.becameBusy(at: loop.now) { armKeepalive() }
    }
  }

  /// Calls of a route that leads here alone need not look for their way again.
  private func setShortcut(_ route: Route, _ id: UInt32, _ isIdempotent: Bool) {
    guard machine.isReady, route.onlyChannel === channel else { return }
    route.shortcut = Unmanaged.passUnretained(self)
    route.shortcutEpoch = channel.core.epoch
    route.procedureID = id
    route.isIdempotent = isIdempotent
  }

  /// Sends a call whose route has a shortcut.
  internal func sendBound(_ call: Call, on route: Route) {
    call.channel = channel
    guard machine.takesCalls, backlog.isEmpty else { return send(call) }
    transmit(call, procedureID: route.procedureID, isIdempotent: route.isIdempotent)
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
    var tooLarge: RPCError?
    connection.send { queue in
      do throws(RPCError) {
        call.callID = try machine.send(
          call, procedureID: procedureID, timeoutMicroseconds: timeout, flags: flags, into: &queue
        ) { queue in
          if let metadata = call.metadata { metadata.encode(to: &queue) }
          call.arguments.withReadable { queue.append(RawSpan(_unsafeBytes: $0)) }
        }
      } catch {
        tooLarge = error
      }
    }
    if let tooLarge { return channel.core.attemptFailed(call, tooLarge) }
    call.isIdempotent = isIdempotent
    call.phase = .sent
    call.connection = self
    if machine.pendingCount == 1, machine.keepalive.becameBusy(at: loop.now) { armKeepalive() }
  }

  /// Ends a call whose caller has gone; its answer is still counted.
  internal func cancel(_ call: Call) {
    guard call.connection === self, machine.isOpen else { return }
    machine.cancel(call.callID)
    call.connection = nil
    flushOutput()
  }

  private func sendBacklog() {
    while machine.takesCalls, let call = backlog.popFirst() {
      if call.phase == .waiting { sendWithinLimits(call) }
    }
  }

  // MARK: Calls that wait

  /// Calls here that are not answered.
  internal var load: Int { machine.pendingCount + waitingCount }

  /// Calls here that were not sent.
  internal var waitingCount: Int { machine.waitingCount + backlog.count }
  internal var waitingCalls: [Call] { machine.waitingTickets + backlog.elements }

  internal func takeWaiting(where isTaken: (Call) -> Bool = { _ in true }) -> [Call] {
    machine.takeWaiting(where: isTaken) + backlog.take(where: isTaken)
  }

  // MARK: Receiving

  internal func received(_ bytes: RawSpan, into output: inout ByteQueue, on connection: Connection) -> Int {
    var offset = 0
    do {
      while let header = try machine.frame(in: bytes, at: offset) {
        let payload = bytes.extracting(
          offset + FrameHeader.byteCount..<offset + FrameHeader.byteCount + Int(header.length))
        if header.kind == FrameKind.reply.rawValue {
          if let call = try machine.reply(header.callID) { channel.core.succeeded(call, payload) }
          answered()
        } else {
          let descriptor = connection.descriptor
          let event = try machine.control(
            header, payload, at: SystemClock.monotonicNanoseconds(),
            channel: connection.filter?.channelBinding ?? []
          ) {
            SocketAddress.peer(of: descriptor)
          }
          flushOutput()
          handle(event)
        }
        guard machine.isOpen else { return bytes.byteCount }
        offset += FrameHeader.byteCount + Int(header.length)
      }
      try machine.checkRest(bytes.extracting(offset...))
    } catch {
      close(machine.broken(error, bytes.extracting(offset...)))
      return bytes.byteCount
    }
    connection.bytesWanted = machine.bytesNeeded(in: bytes, at: offset)
    return offset
  }

  private func answered() {
    if !backlog.isEmpty { sendBacklog() }
    if machine.isDrained { close(nil) }
  }

  private func handle(_ event: ClientStateMachine<Call>.Event) {
    switch event {
    case .handled: break
    case .ready:
      armKeepalive()
      channel.connectionReady(self)
    case .failed(let call, let error, let neverBegan):
      call.connection = nil
      channel.core.attemptFailed(call, error, neverBegan: neverBegan)
    case .stale(let call): bindAgain(call)
    case .bound(let calls, let id, let isIdempotent):
      for call in calls where call.phase == .waiting {
        transmit(call, procedureID: id, isIdempotent: isIdempotent)
      }
    case .refused(let calls, let error, let later):
      for call in calls { channel.core.attemptFailed(call, error) }
      bindAgain(later.filter { $0.phase == .waiting })
    case .pong(let id, let roundTrip):
      armKeepalive()
      channel.roundTripMeasured(self)
      pings.removeValue(forKey: id)?(.success(roundTrip))
    case .generation: channel.generationChanged(self)
    case .goingAway(let reason, let calls):
      channel.connectionDraining(self, reason: reason)
      moveOn(calls)
    case .ended(let error): return close(error)
    }
    answered()
  }

  private func bindAgain(_ calls: [Call]) {
    guard let key = calls.first?.route.binding else { return }
    if machine.phase == .draining { return moveOn(calls) }
    machine.bind(key, for: calls)
    flushOutput()
  }

  /// A call whose binding was out of date.
  private func bindAgain(_ call: Call) {
    call.connection = nil
    let history = call.history
    history.rebinds += 1
    guard history.rebinds <= ClientLimits.rebindsMax else {
      return channel.core.attemptFailed(call, .everStale(channel.server, history.rebinds))
    }
    machine.forget(call.route.binding)
    channel.core.forgetShortcuts()
    call.phase = .waiting
    if machine.phase == .draining { moveOn([call]) } else { send(call) }
  }

  // MARK: Leaving

  /// The channel uses another connection from now on: this one ends when everything is answered.
  internal func retire() {
    guard machine.isOpen else { return }
    moveOn(machine.retire())
    if machine.isDrained { close(nil) }
  }

  /// Sends the calls that did not begin here, and those that wait, somewhere else.
  private func moveOn(_ calls: [Call]) {
    for call in calls + backlog.take() {
      call.connection = nil
      channel.core.attemptFailed(call, machine.drainingError, neverBegan: true)
    }
  }

  internal func inputEnded(on connection: Connection) {
    close(.lostConnection(to: channel.server, .peer))
  }

  internal func closed(_ connection: Connection, reason: CloseReason) {
    tearDown(failure ?? (reason == .local ? nil : .lostConnection(to: channel.server, reason)))
  }

  /// Ends the connection; every call on it fails with `error`, or as unavailable when there is none.
  internal func close(_ error: RPCError?) {
    guard machine.isOpen else { return }
    failure = error
    connection.close()
  }

  private func tearDown(_ error: RPCError?) {
    guard machine.isOpen else { return }
    if let keepaliveTimer { loop.cancel(keepaliveTimer) }
    let (begun, notBegun) = machine.end(sent: connection.payloadBytesSent)
    let unsent = notBegun + backlog.take()
    let completions = pings.values
    pings = [:]
    channel.connectionEnded(self, error)
    var reason = error ?? .lostConnection(to: channel.server, .local)
    for call in unsent { channel.core.attemptFailed(call, reason, neverBegan: true) }
    reason.executed = .maybe
    for call in begun {
      call.connection = nil
      channel.core.attemptFailed(call, reason)
    }
    for completion in completions { completion(.failure(reason)) }
  }

  // MARK: PING and keepalive

  /// Sends a PING and reports how long its answer took.
  internal func ping(_ completion: @escaping (Result<Duration, RPCError>) -> Void) {
    if !machine.isOwedAnswers { _ = machine.keepalive.becameBusy(at: loop.now) }
    pings[machine.ping(at: SystemClock.monotonicNanoseconds())] = completion
    flushOutput()
    armKeepalive()
  }

  /// Sees to it that the timer fires when a PING, or its answer, is due. Traffic costs nothing: a timer that fires too
  /// early looks again.
  private func armKeepalive() {
    guard
      let due = machine.keepaliveDue(lastReceived: connection.lastReceived, isSet: keepaliveTimer != nil)
    else { return }
    if let timer = keepaliveTimer.take() { loop.cancel(timer) }
    if due < .max { keepaliveTimer = loop.schedule(at: max(due, loop.now &+ 1), self) }
  }

  internal func timerFired(tag: UInt64, on loop: EventLoop) {
    keepaliveTimer = nil
    guard machine.isOpen else { return }
    if let error = machine.keepaliveFired(at: loop.now, lastReceived: connection.lastReceived) {
      isUnresponsive = true
      return close(error)
    }
    flushOutput()
    armKeepalive()
  }
}
