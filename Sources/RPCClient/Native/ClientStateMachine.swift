internal import RPCNetwork
package import RPCTransport
package import RPCWire

/// One native connection as its client sees it: HELLO, keys, BINDs, calls, GOAWAY, keepalive and errors. Pure: bytes and
/// times go in, frames come out in `output` or straight into the owner's queue, and what happened is returned. It owns
/// no socket, no timer and no caller; calls are tickets to it.
///
/// Replies and CALLs, which are on the hot path, touch nothing but numbers and the table of pending calls.
package struct ClientStateMachine<Ticket: AnyObject>: ~Copyable {
  package enum Phase {
    /// The server's HELLO has not come.
    case handshaking
    /// It came, and our proof of a key is on its way.
    case proving
    case up
    /// The server said GOAWAY, or has another address: it answers what it has, and gets nothing new.
    case draining
    case closed
  }

  /// What a frame that is not a REPLY meant.
  package indirect enum Event {
    /// Nothing for the owner.
    case handled
    /// The server takes calls, for those of the client that it knows.
    case ready
    case failed(Ticket, RPCError, neverBegan: Bool)
    /// The id of its procedure is out of date: to be sent again.
    case stale(Ticket)
    case bound([Ticket], id: UInt32, isIdempotent: Bool)
    /// A BIND failed for those that it was sent for. Others came later, perhaps after a deployment: they bind again.
    case refused([Ticket], RPCError, later: [Ticket])
    case pong(UInt64, roundTrip: Duration)
    case generation
    /// The calls that the server did not take, and those that wait, are to go elsewhere.
    case goingAway(reason: String, [Ticket])
    /// The connection is of no use any more.
    case ended(RPCError)
  }

  /// What became of a call that was to be sent.
  package enum Way {
    case bound(id: UInt32, isIdempotent: Bool)
    /// Its BIND is on its way.
    case waits
  }

  internal let server: Topology.Server
  package private(set) var phase = Phase.handshaking
  /// Frames that are to leave before anything else does.
  package var output = ByteQueue()
  /// The serial of the server's generation.
  internal private(set) var generation = 0
  internal private(set) var roundTrip: Duration?
  /// Answers of any kind: a connection that gave one was a good one.
  internal private(set) var answers: UInt64 = 0
  internal var keepalive: Keepalive

  internal private(set) var introduction: Introduction
  private let opened: UInt64
  private var decoder: FrameDecoder
  private var nextID: UInt64 = 1
  private var pending = PendingTable<Ticket>()
  private var bindings = BindingTable<Ticket>()
  private var frameBytesMax = WireLimits.frameBytes
  private var callsMax = WireLimits.callsPerConnection
  /// Bytes put into the stream so far, sent or not.
  private var queuedBytes: UInt64 = 0
  /// Ids above this one belong to calls that the server did not take, since it went away.
  private var lastTakenID = UInt64.max
  private var pings: [UInt64: UInt64] = [:]
  /// Why calls go elsewhere, once they do.
  internal private(set) var drainingError: RPCError

  /// Starts with the client's HELLO. Calls may be sent behind it at once.
  package init(
    to server: Topology.Server, identity: String?, options: ClientOptions, at now: UInt64
  ) {
    self.server = server
    introduction = Introduction(to: server, proving: options.key)
    opened = now
    decoder = FrameDecoder(frameBytesLimit: options.frameBytes)
    keepalive = Keepalive(options)
    drainingError = .shuttingDown(server, "")
    let hello = introduction.hello(identity: identity, options: options)
    write { queue in
      queue.append(Preface.bytes)
      hello.encode(to: &queue)
    }
  }

  package var isOpen: Bool { phase != .closed }
  package var isReady: Bool { phase == .up }
  internal var pendingCount: Int { pending.count }
  /// Calls that wait for a BIND.
  internal var waitingCount: Int { bindings.waitingCount }
  internal var waitingTickets: [Ticket] { bindings.waitingCalls }

  /// Whether the server takes another call now: not beyond its limit, nor while a key is not proven, since the call would
  /// be a stranger's, or go to one.
  package var takesCalls: Bool {
    pending.count + bindings.waitingCount < callsMax
      && (phase == .up || phase == .handshaking && !introduction.provesKeys)
  }

  private mutating func takeID() -> UInt64 {
    defer { nextID += 1 }
    return nextID
  }

  private mutating func write(_ body: (inout ByteQueue) -> Void) {
    let before = output.count
    body(&output)
    queuedBytes &+= UInt64(output.count - before)
  }

  // MARK: Sending

  /// The way of a call: the id to send it with, or that its BIND was sent or is on its way.
  package mutating func way(of ticket: Ticket, _ key: BindingKey) -> Way {
    switch bindings.state(of: key) {
    case .bound(let id, let isIdempotent): return .bound(id: id, isIdempotent: isIdempotent)
    case .binding: bindings.wait(ticket, for: key)
    case .unbound: bind(key, for: [ticket])
    }
    return .waits
  }

  /// Sends one BIND for calls of one binding.
  package mutating func bind(_ key: BindingKey, for tickets: [Ticket]) {
    let id = takeID()
    bindings.begin(key, tickets, callID: id)
    let bind = Bind(
      service: key.service, procedure: key.procedure, arguments: key.argumentTypes, returns: key.returnTypes)
    write { bind.encode(to: &$0, callID: id) }
  }

  /// Writes a CALL and expects its answer.
  ///
  /// - Parameters:
  ///   - queue: where everything goes that leaves on this connection, `output` included.
  ///   - encode: writes metadata, where the flag is set, and the list of arguments.
  /// - Returns: the call's id.
  /// - Throws: `ResourceExhausted` where the server takes no frame as large; nothing was written.
  @inline(__always)
  package mutating func send(
    _ ticket: Ticket, procedureID: UInt32, timeoutMicroseconds: UInt32, flags: FrameHeader.Flags,
    into queue: inout ByteQueue, encode: (inout ByteQueue) -> Void
  ) throws(RPCError) -> UInt64 {
    let id = takeID()
    let start = CallFrame.begin(
      in: &queue, callID: id, procedureID: procedureID, timeoutMicroseconds: timeoutMicroseconds, flags: flags
    )
    encode(&queue)
    queue.endFrame(start)
    let bytes = queue.count - start
    guard bytes <= frameBytesMax + FrameHeader.byteCount else {
      queue.truncate(to: start)
      throw tooLarge(bytes - FrameHeader.byteCount)
    }
    queuedBytes &+= UInt64(bytes)
    pending.insert(id, ticket, frameEnd: queuedBytes)
    return id
  }

  private func tooLarge(_ bytes: Int) -> RPCError {
    RPCError(
      .resourceExhausted,
      "a call of \(bytes) bytes is larger than the limit of \(frameBytesMax) bytes of \(server.label)",
      actual: bytes, limit: frameBytesMax, unit: .bytes)
  }

  /// Ends a call whose caller has gone; its answer is still counted.
  package mutating func cancel(_ callID: UInt64) {
    pending.abandon(callID)
    write { $0.appendEmptyFrame(.cancel, callID: callID) }
  }

  /// Sends a PING; a PONG with its id says how long it took.
  package mutating func ping(at now: UInt64) -> UInt64 {
    let id = takeID()
    pings[id] = now
    write { $0.appendEmptyFrame(.ping, callID: id) }
    return id
  }

  /// An id is out of date, as `stale` said.
  package mutating func forget(_ key: BindingKey) { bindings.forget(key) }

  // MARK: Receiving

  /// The frame at `offset` once it is whole, else nil.
  @inline(__always)
  package func frame(in bytes: RawSpan, at offset: Int) throws(WireError) -> FrameHeader? {
    try decoder.next(in: bytes, at: offset)
  }

  /// Whether the rest of what came can be the beginning of a frame; call it after `frame` returned nil.
  package func checkRest(_ bytes: RawSpan) throws(WireError) {
    if phase == .handshaking, ForeignServer.recognise(bytes) != nil { throw .truncated }
  }

  internal func bytesNeeded(in bytes: RawSpan, at offset: Int) -> Int {
    decoder.bytesNeeded(in: bytes, at: offset)
  }

  /// The error of bytes that were refused.
  internal func broken(_ error: WireError, _ bytes: RawSpan) -> RPCError {
    .brokenProtocol(by: server, error, first: phase == .handshaking ? bytes : nil)
  }

  /// A REPLY: the call that it answers, nil where nobody waits for it any more.
  @inline(__always)
  package mutating func reply(_ callID: UInt64) throws(WireError) -> Ticket? {
    guard phase != .handshaking else { throw .malformedFrame("a REPLY came before the HELLO") }
    answers &+= 1
    switch pending.remove(callID) {
    case .payload(let ticket): return ticket
    case .abandoned: return nil
    case .unknown: return try lateAnswer("a REPLY", callID)
    }
  }

  /// An answer to a call that was given to another server when this one went away.
  private func lateAnswer(_ what: String, _ callID: UInt64) throws(WireError) -> Ticket? {
    guard callID > lastTakenID, callID < nextID else {
      throw .malformedFrame("\(what) to no call (id \(callID))")
    }
    return nil
  }

  /// Any other frame.
  ///
  /// - Parameters:
  ///   - channel: what ties proofs to the channel, as in `ProofScope`.
  ///   - address: the far end of the connection, asked for where a key is to be proven.
  package mutating func control(
    _ header: FrameHeader, _ payload: RawSpan, at now: UInt64, channel: [UInt8] = [],
    from address: () -> SocketAddress?
  ) throws(WireError) -> Event {
    // The kind was checked by the decoder.
    guard let kind = FrameKind(rawValue: header.kind) else { throw .unknownFrameKind(header.kind) }
    if phase == .handshaking, kind != .hello, kind != .error, kind != .goAway {
      throw .malformedFrame("a \(kind.name) came before the HELLO")
    }
    switch kind {
    case .error: return try error(header.callID, RPCError(payload: payload))
    case .bound:
      let bound = try Bound(payload: payload)
      guard let tickets = bindings.succeeded(header.callID, bound) else {
        throw .malformedFrame("a BOUND of no BIND (id \(header.callID))")
      }
      return .bound(tickets, id: bound.procedureID, isIdempotent: bound.idempotent)
    case .hello: return try hello(Hello(payload: payload), at: now, channel, from: address)
    case .ping:
      write { $0.appendEmptyFrame(.pong, callID: header.callID) }
      return .handled
    case .pong: return pong(header.callID, at: now)
    case .proof:
      guard phase == .proving else { throw .malformedFrame("a PROOF that nobody waits for") }
      phase = .up
      return .ready
    case .goAway: return goAway(try GoAway(header: header, payload: payload))
    case .generation:
      generation = Int(clamping: header.callID)
      bindings.forgetAll()
      return .generation
    case .bind, .call, .cancel, .reply: throw .malformedFrame("a server does not send \(kind.name)")
    }
  }

  private mutating func hello(
    _ hello: Hello, at now: UInt64, _ channel: [UInt8], from address: () -> SocketAddress?
  ) throws(WireError) -> Event {
    guard phase == .handshaking else { throw .malformedFrame("a second HELLO") }
    guard hello.version == Preface.majorVersion else {
      throw .malformedFrame("version \(hello.version), this client speaks \(Preface.majorVersion)")
    }
    frameBytesMax = hello.frameBytes
    callsMax = max(1, hello.callsInFlight)
    generation = hello.generation
    roundTrip = .nanoseconds(Int64(clamping: now &- opened))
    if hello.pingMilliseconds > 0 { keepalive.idleSilence = UInt64(hello.pingMilliseconds) &* 1_000_000 }
    do throws(RPCError) {
      let far = introduction.provesKeys ? address() : nil
      guard let proof = try introduction.answer(to: hello, at: far, channel: channel) else {
        phase = .up
        return .ready
      }
      phase = .proving
      write { proof.encode(to: &$0) }
      return .handled
    } catch {
      return .ended(error)
    }
  }

  private mutating func error(_ callID: UInt64, _ error: RPCError) throws(WireError) -> Event {
    if callID == 0 {
      var error = error
      error.message = "\(server.label): \(error.message)"
      return .ended(error)
    }
    if let (first, later) = bindings.failed(callID) { return .refused(first, error, later: later) }
    answers &+= 1
    let ticket: Ticket?
    switch pending.remove(callID) {
    case .payload(let payload): ticket = payload
    case .abandoned: ticket = nil
    case .unknown: ticket = try lateAnswer("an ERROR", callID)
    }
    guard let ticket else { return .handled }
    if error.exception == .staleBinding { return .stale(ticket) }
    // What a server refuses since it goes away is nobody's attempt.
    let isRefusal = phase == .draining && error.exception == .unavailable && error.executed == .no
    return .failed(ticket, error, neverBegan: isRefusal)
  }

  private mutating func pong(_ id: UInt64, at now: UInt64) -> Event {
    // A PONG nobody waits for does no harm.
    guard let sent = pings.removeValue(forKey: id) else { return .handled }
    _ = keepalive.ponged(id)
    let duration = Duration.nanoseconds(Int64(clamping: now &- sent))
    roundTrip = duration
    return .pong(id, roundTrip: duration)
  }

  private mutating func goAway(_ goAway: GoAway) -> Event {
    // A second one may draw the line lower.
    lastTakenID = min(lastTakenID, goAway.lastCallID)
    // What every shutdown says is no reason.
    let reason = goAway.reason.hasSameUTF8(as: GoAway.shutdown) ? "" : goAway.reason
    if phase != .draining { drainingError = .shuttingDown(server, reason) }
    phase = .draining
    return .goingAway(
      reason: reason, pending.removeAll(above: lastTakenID).map(\.payload) + bindings.takeWaiting())
  }

  // MARK: Ending

  /// Sends no more calls here; those that wait are to go elsewhere.
  internal mutating func retire() -> [Ticket] {
    phase = .draining
    drainingError = RPCError(.unavailable, "\(server.label) has a new address")
    return bindings.takeWaiting()
  }

  /// Whether a connection that takes no more calls has answered all it had.
  package var isDrained: Bool { phase == .draining && pending.count == 0 }

  /// The connection has ended.
  ///
  /// - Parameter sent: bytes that left on it.
  /// - Returns: the calls that the server may have begun, and those that it cannot have: a frame whose last byte never
  ///   left was not understood either.
  package mutating func end(sent: UInt64) -> (begun: [Ticket], notBegun: [Ticket]) {
    phase = .closed
    let entries = pending.removeAll()
    let begun = entries.filter { $0.frameEnd <= sent }.map(\.payload)
    let unsent = entries.filter { $0.frameEnd > sent }.map(\.payload)
    return (begun, unsent + bindings.takeWaiting())
  }

  internal mutating func takeWaiting(where isTaken: (Ticket) -> Bool) -> [Ticket] {
    bindings.takeWaiting(where: isTaken)
  }

  // MARK: Keepalive

  /// Whether the server owes something: the answer to a call, a BIND or a PING of the caller's.
  internal var isOwedAnswers: Bool {
    pending.count > 0 || bindings.hasBindsInFlight || pings.count > (keepalive.ping == nil ? 0 : 1)
  }

  /// To be called when `keepaliveDue` has come; an error says that the server has stopped answering.
  internal mutating func keepaliveFired(at now: UInt64, lastReceived: UInt64) -> RPCError? {
    switch keepalive.step(at: now, lastReceived: lastReceived, isOwed: isOwedAnswers) {
    case .wait: return nil
    case .ping:
      keepalive.pinged(ping(at: now), at: now)
      return nil
    case .timedOut(let nanoseconds): return .noPong(from: server, within: .nanoseconds(Int64(nanoseconds)))
    }
  }

  /// When to call `keepaliveFired`, where that changed; `.max` for never.
  internal mutating func keepaliveDue(lastReceived: UInt64, isSet: Bool) -> UInt64? {
    guard phase != .handshaking, phase != .proving else { return nil }
    return keepalive.nextDue(lastReceived: lastReceived, isOwed: isOwedAnswers, isSet: isSet)
  }
}
