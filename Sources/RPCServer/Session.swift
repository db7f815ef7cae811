internal import RPCProcedures
internal import RPCTransport
internal import RPCWire

/// One connection as the server sees it: tells the dialect by its first bytes, knows who is calling, and
/// keeps the calls that are not answered yet. Belongs to one loop.
internal final class Session: ConnectionHandler, TimerTarget {
  enum Dialect: Equatable {
    case undecided
    /// The preface came, the HELLO not yet.
    case nativeGreeting
    case native
    case json
  }

  let connection: Connection
  let host: ServerLoop
  let caller: Caller
  var dialect = Dialect.undecided
  var decoder: FrameDecoder
  /// The largest frame the peer takes.
  var peerFrameBytes = WireLimits.frameBytes
  /// What a PROOF must answer, until it came.
  var challenge: [UInt8]?
  /// Calls that are not answered yet, by the caller's id. Whole entries go in and out, and nobody is called
  /// meanwhile; every call on the fast path asks whether there are any.
  @exclusivity(unchecked) var calls: [UInt64: ActiveCall] = [:]
  @exclusivity(unchecked) var access = Access()
  /// The highest call id that was accepted: what a GOAWAY tells.
  var lastCallID: UInt64 = 0
  var isDraining = false
  /// The number under which the json dialect keeps its next call.
  var nextLineID: UInt64 = 1
  /// Bytes of an unfinished line of the json dialect that are known to hold no line end.
  var lineBytesSearched = 0
  var keepalive = Keepalive()
  /// Whether bytes are being handled: the connection ends behind all of them, not in between.
  private var isReceivingBytes = false
  /// Whether a deployment may end with this connection.
  var hasDeployed = false
  private var frameStarted: UInt64?
  private var timer: TimerID?
  private var timerDue: UInt64 = 0

  init(connection: Connection, host: ServerLoop, caller: Caller) {
    self.connection = connection
    self.host = host
    self.caller = caller
    decoder = FrameDecoder(frameBytesLimit: WireLimits.helloBytesMax)
    connection.isStranger = true
  }

  func start() throws(SystemError) {
    try connection.start(self)
    armTimer()
  }

  // MARK: Input

  func received(_ bytes: RawSpan, into output: inout ByteQueue, on connection: Connection) -> Int {
    let consumed: Int
    isReceivingBytes = true
    switch dialect {
    case .native: consumed = receivedFrames(bytes, from: 0, into: &output)
    case .json: consumed = receivedLines(bytes, into: &output)
    case .nativeGreeting: consumed = receivedFrames(bytes, from: 0, into: &output)
    case .undecided: consumed = receivedFirst(bytes, into: &output)
    }
    // A frame that is on its way has until the frame timeout. Whole ones need no clock, whether they were taken
    // or wait here for their turn: their peer has done its part.
    if consumed == bytes.byteCount || connection.bytesWanted == 0 {
      frameStarted = nil
    } else if frameStarted == nil || consumed > 0 {
      frameStarted = host.loop.now
      armTimer()
    }
    isReceivingBytes = false
    if connection.inputHasEnded, consumed == bytes.byteCount { endIfAllIsAnswered() }
    return consumed
  }

  private func receivedFirst(_ bytes: RawSpan, into output: inout ByteQueue) -> Int {
    let first = unsafe bytes.unsafeLoad(fromByteOffset: 0, as: UInt8.self)
    switch first {
    case Preface.bytes[0]:
      let count = min(bytes.byteCount, Preface.bytes.count)
      for index in 0..<count {
        guard unsafe bytes.unsafeLoad(fromByteOffset: index, as: UInt8.self) == Preface.bytes[index] else {
          return refuse(Self.noDialect, bytes)
        }
      }
      guard count == Preface.bytes.count else {
        connection.bytesWanted = Preface.bytes.count
        return 0
      }
      dialect = .nativeGreeting
      return receivedFrames(bytes, from: count, into: &output)
    case UInt8(ascii: "{"), UInt8(ascii: " "), UInt8(ascii: "\t"), UInt8(ascii: "\r"), UInt8(ascii: "\n"):
      dialect = .json
      renewAccess(in: host.catalogue)
      host.greeted(self)
      armTimer()
      return receivedLines(bytes, into: &output)
    default:
      return refuse(Self.noDialect, bytes)
    }
  }

  private static let noDialect = RPCError(
    .protocolError, "the connection starts with neither the preface nor a json object")

  /// One last error, then the end; whatever else came in is thrown away. It goes by way of `send`, behind the
  /// answers of this turn: nothing may follow it.
  @discardableResult
  func refuse(_ error: RPCError, _ bytes: RawSpan = RawSpan()) -> Int {
    host.log.refusedConnection(caller, error)
    host.metrics.value.errors += 1
    connection.send { output in
      switch dialect {
      case .json: JSONReply.append(error, id: nil, to: &output)
      case .undecided where caller.peer.family != 0:
        // Whoever speaks neither dialect can at least read a line.
        JSONReply.append(error, id: nil, to: &output)
      default: error.encode(to: &output, callID: 0)
      }
    }
    connection.closeAfterFlush()
    return bytes.byteCount
  }

  func inputEnded(on connection: Connection) {
    // Whoever pipes lines in and closes that side still reads the answers. A native peer has no such habit:
    // its end is the end of its calls.
    if dialect != .json { return connection.close() }
    if !connection.keepsInput { endIfAllIsAnswered() }
  }

  /// Ends a connection whose peer has ended its side, once nothing waits for an answer.
  private func endIfAllIsAnswered() {
    if dialect == .json, calls.isEmpty { connection.closeAfterFlush() }
  }

  // MARK: Calls in flight

  func began(_ call: ActiveCall) {
    calls[call.id] = call
    connection.hold(call.heldBytes)
    host.metrics.value.callsInFlight += 1
    call.armDeadline(on: host.loop)
    if calls.count == 1 { becameBusy() }
  }

  /// Takes a concluded call out.
  func ended(_ call: ActiveCall) {
    guard calls.removeValue(forKey: call.id) != nil else { return }
    connection.hold(-call.heldBytes)
    host.metrics.value.callsInFlight -= 1
  }

  /// After an answer that was not part of a read: goes on reading, or ends what was waiting for it.
  func afterAnswer() {
    if isDraining, calls.isEmpty { return connection.closeAfterFlush() }
    connection.resumeReading()
    if connection.inputHasEnded, !isReceivingBytes, !connection.keepsInput { endIfAllIsAnswered() }
  }

  /// The caller's rights in the generation in force.
  @inline(__always)
  func allows(service: Int, in catalogue: Catalogue) -> Bool {
    if access.serial != catalogue.serial { renewAccess(in: catalogue) }
    return access.allows(service: service)
  }

  /// Works out what the caller may do in a generation: when it has introduced itself, or another one is in force.
  func renewAccess(in catalogue: Catalogue) {
    let identities = caller.identities(in: catalogue)
    access = Access(catalogue: catalogue, identities: identities)
    let deployers = host.core.deployers
    // Where nobody can be known, nobody is a stranger.
    connection.isStranger =
      identities.isEmpty && !(caller.key != nil && deployers.include(caller))
      && (!catalogue.clients.isEmpty || deployers.areListed)
  }

  func memoryExceeded(on connection: Connection, actual: Int, limit: Int) {
    refuse(ServerLoop.memoryExceeded(actual: actual, limit: limit, isStranger: connection.isStranger))
  }

  // MARK: Time

  /// One timer watches the handshake, the frame on its way and the silence, whichever is due first. What
  /// is due later than it is set lazily, when it fires, so that traffic costs nothing.
  func armTimer() {
    let loop = host.loop
    guard let due = nextDue() else { return }
    if let timer {
      guard due < timerDue else { return }
      loop.cancel(timer)
    }
    timerDue = max(due, loop.now + 1)
    timer = loop.schedule(at: timerDue, self)
  }

  private func nextDue() -> UInt64? {
    let options = host.options
    var due: UInt64?
    func consider(_ start: UInt64, _ milliseconds: Int) {
      guard milliseconds > 0 else { return }
      let time = start + UInt64(milliseconds) * 1_000_000
      due = due.map { min($0, time) } ?? time
    }
    if dialect == .undecided || dialect == .nativeGreeting {
      consider(opened, options.handshakeTimeoutMilliseconds)
    } else {
      // While calls are in flight the silence has not begun; the timer looks again.
      consider(calls.isEmpty ? connection.lastReceived : host.loop.now, options.idleTimeoutMilliseconds)
    }
    if let frameStarted { consider(frameStarted, options.frameTimeoutMilliseconds) }
    if let silentSince { consider(silentSince, keepalive.milliseconds) }
    return due
  }

  private lazy var opened: UInt64 = connection.lastReceived

  func timerFired(tag: UInt64, on loop: EventLoop) {
    timer = nil
    // Nobody can send the rest of a frame while this side does not read.
    if frameStarted != nil, !connection.isReading { frameStarted = loop.now }
    guard connection.isOpen, let due = nextDue() else { return }
    guard due <= loop.now else { return armTimer() }
    if checkKeepalive() { return }
    guard let due = nextDue(), due <= loop.now else { return armTimer() }
    let options = host.options
    let error: RPCError
    if dialect == .undecided || dialect == .nativeGreeting {
      error = RPCError(
        .deadlineExceeded,
        "no HELLO within the handshake timeout of \(options.handshakeTimeoutMilliseconds) ms")
    } else if let frameStarted,
      loop.now >= frameStarted + UInt64(options.frameTimeoutMilliseconds) * 1_000_000
    {
      error = RPCError(
        .deadlineExceeded,
        "a frame took longer than the frame timeout of \(options.frameTimeoutMilliseconds) ms to arrive")
    } else {
      error = RPCError(
        .unavailable,
        "the connection was silent for the idle timeout of \(options.idleTimeoutMilliseconds) ms")
    }
    refuse(error)
  }

  // MARK: The end

  func closed(_ connection: Connection, reason: CloseReason) {
    if let timer { host.loop.cancel(timer) }
    timer = nil
    let abandoned = Array(calls.values)
    for call in abandoned {
      call.end(
        RPCError(.cancelled, "the caller's connection ended", executed: .maybe), on: host.loop)
    }
    if hasDeployed { host.core.deployments?.connectionEnded(ObjectIdentifier(self)) }
    host.closed(self, reason: reason)
  }
}
