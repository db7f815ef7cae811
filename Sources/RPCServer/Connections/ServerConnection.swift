internal import RPCProcedures
internal import RPCSystem
internal import RPCTLS
internal import RPCTransport
internal import RPCWire

/// One connection of a client: its socket, who is calling, the calls that are not answered yet, its timers and its
/// end. What is said on it is its dialect's, of which it knows none by name. Belongs to one loop.
internal final class ServerConnection: ConnectionHandler, TimerTarget {
  // In the order of their use, as in `Connection`.
  let socket: Connection
  let host: ServerLoop
  let caller: Caller
  /// What the peer speaks, once its first bytes have told; nil again once the connection is closed.
  private(set) var dialect: (any Dialect)?
  /// Calls that are not answered yet, by the caller's id. Whole entries go in and out, and nobody is called
  /// meanwhile; every call on the fast path asks whether there are any.
  @exclusivity(unchecked) private(set) var calls: [UInt64: ServerCall] = [:]
  @exclusivity(unchecked) private var access = Access()
  /// No more calls are taken.
  private(set) var isDraining = false
  /// Whether bytes are being handled: the connection ends behind all of them, not in between.
  private var isReceivingBytes = false
  /// Whether a deployment may end with this connection.
  var hasDeployed = false
  /// Since when a request is on its way that is not whole yet.
  var frameStarted: UInt64?
  /// What may be spoken.
  private let dialects: [any Dialect.Type]
  private let filters: [FilterEntry]
  /// The name of the registered client that the caller is, in the generation in force.
  private(set) var callerName: String?
  private var nestedAccess: NestedAccess?
  /// Requests and answers of this connection that are being decoded or encoded beside the loop.
  private var piecesAway = 0
  /// Calls that were ended before their work: it still runs.
  var workLeft = 0
  var keepalive = Keepalive()
  var timer: TimerID?
  var timerDue: UInt64 = 0
  let opened: UInt64

  init(
    socket: Connection, host: ServerLoop, caller: Caller, dialects: [any Dialect.Type],
    filters: [FilterEntry]
  ) {
    self.socket = socket
    self.host = host
    self.caller = caller
    self.dialects = dialects
    self.filters = filters
    opened = socket.lastReceived
    socket.isStranger = true
  }

  func start() throws(SystemError) {
    try socket.start(self)
    armTimer()
  }

  var isGreeted: Bool { dialect?.isGreeted ?? false }

  // MARK: Input

  func received(_ bytes: RawSpan, into output: inout ByteQueue, on socket: Connection) -> Int {
    isReceivingBytes = true
    let progress = read(bytes, into: &output)
    socket.bytesWanted = progress.wanted
    // A request that is on its way has until the frame timeout. Whole ones need no clock, whether they were taken or
    // wait here for their turn: their peer has done its part.
    if progress.consumed == bytes.byteCount || progress.wanted == 0 {
      frameStarted = nil
    } else if frameStarted == nil || progress.consumed > 0 {
      frameStarted = host.loop.now
      armTimer()
    }
    isReceivingBytes = false
    if socket.inputHasEnded, progress.consumed == bytes.byteCount { endIfAllIsAnswered() }
    return progress.consumed
  }

  @inline(__always)
  private func read(_ bytes: RawSpan, into output: inout ByteQueue) -> Progress {
    if let dialect { return dialect.read(bytes, into: &output) }
    return recognise(bytes, into: &output)
  }

  private func recognise(_ bytes: RawSpan, into output: inout ByteQueue) -> Progress {
    let isPlain = socket.filter == nil
    switch Dialects.choose(
      bytes, alpn: socket.filter?.applicationProtocol, among: dialects, filters: isPlain ? filters : [])
    {
    case .filter(let entry):
      guard let filter = entry.make(), socket.excess(of: filter.heldBytes) == nil else {
        socket.close()
        return .consumed(bytes.byteCount)
      }
      socket.install(filter)
      return .consumed(0)
    case .wait(let count): return .consumed(0, wanted: count)
    case .none:
      let first = unsafe bytes.unsafeLoad(fromByteOffset: 0, as: UInt8.self)
      refuse(
        isPlain && first == ServerTLS.handshakeByte
          ? ServerTLS.noTLS
          : RPCError(
            .protocolError,
            "unknown protocol; this port speaks " + dialects.map { $0.name }.joined(separator: ", ")))
      return .consumed(bytes.byteCount)
    case .speak(let type):
      if let peer = (socket.filter as? TLSFilter)?.peer { caller.take(peer) }
      let dialect = type.init(on: self)
      self.dialect = dialect
      if isPlain, host.core.tls.mode == .required,
        !dialect.refuseRequests(with: ServerTLS.plainRefusal)
      {
        refuse(ServerTLS.plainRefusal)
        return .consumed(bytes.byteCount)
      }
      if dialect.isGreeted { greeted() }
      return dialect.read(bytes, into: &output)
    }
  }

  /// The peer has said who it is: called by the dialect, once `isGreeted` holds.
  func greeted() {
    renewAccess()
    if let dialect { host.log.greeted(caller, dialect: type(of: dialect).name) }
    armTimer()
  }

  /// One last error, then the end; whatever else came in is thrown away. It goes by way of `send`, behind the
  /// answers of this turn: nothing may follow it.
  func refuse(_ error: RPCError) {
    host.log.refusedConnection(caller, error)
    host.metrics.value.errors += 1
    socket.send { output in
      if let dialect {
        dialect.refuse(error, into: &output)
      } else {
        Dialects.refuseUnrecognised(error, into: &output)
      }
    }
    socket.closeAfterFlush()
  }

  func memoryExceeded(on socket: Connection, unfinished bytes: RawSpan?, actual: Int, limit: Int) -> Bool {
    let error = CallCore.memoryExceeded(actual: actual, limit: limit, isStranger: socket.isStranger)
    if let bytes, dialect?.refuse(unfinished: bytes, error) == true {
      frameStarted = nil
      return true
    }
    refuse(error)
    return false
  }

  func inputEnded(on socket: Connection) {
    guard case .closeAfterCalls = dialect?.inputEnded() ?? .closeNow else { return socket.close() }
    if !socket.keepsInput { endIfAllIsAnswered() }
  }

  /// Ends a connection whose peer has ended its side, once nothing waits for an answer.
  private func endIfAllIsAnswered() {
    guard isIdle, case .closeAfterCalls = dialect?.inputEnded() ?? .closeNow else { return }
    socket.closeAfterFlush()
  }

  // MARK: Calls in flight

  func began(_ call: ServerCall) {
    calls[call.id] = call
    socket.hold(call.arguments.count)
    host.metrics.value.callsInFlight += 1
    call.armDeadline(on: host.loop)
    if calls.count == 1 { becameBusy() }
  }

  /// Takes a concluded call out.
  func ended(_ call: ServerCall) {
    guard calls.removeValue(forKey: call.id) != nil else { return }
    socket.hold(-call.arguments.count)
    host.metrics.value.callsInFlight -= 1
  }

  /// Whether no answer is to come.
  var isIdle: Bool { calls.isEmpty && piecesAway == 0 }

  /// Does `work` for this connection beside the loop, where it holds so many bytes meanwhile, and `use` with the result
  /// on it, whether or not the connection is still open then.
  func beside<Result: Sendable>(
    holding bytes: Int, _ work: @escaping @Sendable () -> Result, then use: @escaping (Result) -> Void
  ) {
    piecesAway += 1
    socket.hold(bytes)
    host.side.run(work) { [self] result in
      piecesAway -= 1
      socket.hold(-bytes)
      use(result)
      afterAnswer()
    }
  }

  /// After an answer that was not part of a read: goes on reading, or ends what was waiting for it.
  func afterAnswer() {
    guard socket.isReceiving else { return }
    if isDraining, mayEnd { return socket.closeAfterFlush() }
    socket.resumeReading()
    if socket.inputHasEnded, !isReceivingBytes, !socket.keepsInput { endIfAllIsAnswered() }
  }

  // MARK: Access

  /// The caller's rights in the generation in force.
  @inline(__always)
  func allows(service: Int, in catalogue: Catalogue) -> Bool {
    if access.edition != catalogue.edition { renewAccess() }
    return access.allows(service: service)
  }

  /// Where the peer is a server, what its procedures may call. Its own calls are those of a stranger.
  var nested: NestedAccess? {
    if access.edition != host.catalogue.edition { renewAccess() }
    return nestedAccess
  }

  /// Whether a call that a procedure of `caller` makes may reach that service. What a connection says of procedures
  /// counts only where it has proven a server's key: address and port of a server's host are anybody's there.
  func allows(service: Int, in catalogue: Catalogue, to caller: String?) -> Bool {
    guard let caller else { return allows(service: service, in: catalogue) }
    return nested?.allows(service: service, to: caller, in: catalogue) ?? false
  }

  /// Works out what the caller may do in the generation in force: when it has introduced itself, or another is in force.
  func renewAccess() {
    let catalogue = host.catalogue
    nestedAccess = caller.key.flatMap {
      NestedAccess($0, in: catalogue, own: host.core.key.publicKey, ownName: host.core.serverName)
    }
    let identities = nestedAccess == nil ? caller.identities(in: catalogue) : []
    access = Access(catalogue: catalogue, identities: identities)
    callerName = caller.claimed ?? identities.first
    let deployers = host.core.deployers
    // Where no clients are declared and no deployments taken nobody can be known, and nobody is a stranger.
    let canBeKnown = !catalogue.clients.isEmpty || deployers.areListed || host.options.dataDirectory != nil
    socket.isStranger = canBeKnown && identities.isEmpty && nestedAccess == nil && !deployers.contains(caller)
  }

  // MARK: What the server says by itself

  /// Takes no more calls; closes when those in flight are answered.
  func drain() {
    guard !isDraining else { return }
    isDraining = true
    if let dialect, socket.isReceiving { socket.send { dialect.drain(into: &$0) } }
    if mayEnd { socket.closeAfterFlush() }
  }

  /// The peer takes no answers any more beyond those in flight.
  func peerDrains() {
    isDraining = true
    if mayEnd { socket.closeAfterFlush() }
  }

  /// Whether a connection that takes no more calls has nothing more to do.
  private var mayEnd: Bool { isIdle && !(dialect?.holdsOpen ?? false) }

  /// Says that what the peer knows of procedures may be outdated.
  func announce(generation: Int) {
    guard let dialect, dialect.isGreeted, socket.isReceiving else { return }
    socket.send { dialect.generationChanged(generation, into: &$0) }
  }

  // MARK: The end

  func closed(_ socket: Connection, reason: CloseReason) {
    if let timer { host.loop.cancel(timer) }
    timer = nil
    for call in Array(calls.values) {
      call.end(RPCError(.cancelled, "the caller's connection ended", executed: .maybe), on: host.loop)
    }
    if hasDeployed { host.core.deployments?.connectionEnded(ObjectIdentifier(self)) }
    // It holds the connection in turn.
    dialect = nil
    host.closed(self, reason: reason)
  }
}
