internal import RPCProcedures
internal import RPCSystem
internal import RPCTransport
internal import RPCWire

/// One event loop of a server with everything that lives on it: its connections, its runtimes, its counters,
/// and the catalogue in force. Nothing here is shared with another loop.
internal final class ServerLoop {
  let index: Int
  let loop: EventLoop
  private(set) var options: ServerOptions
  let log: LoopLog
  let core: ServerCore
  private(set) var catalogue: Catalogue
  let metrics = LoopCell(LoopMetrics())
  private let procedureMetrics = LoopCell(ContiguousArray<ProcedureMetrics>())
  /// Calls that were refused before it was known what they are of.
  private let otherMetrics = LoopCell(ProcedureMetrics())
  /// What runs calls of procedures where they are read, by their ids: known once a procedure was called in the
  /// generation in force.
  private let spots = LoopCell(ContiguousArray<Spot?>())
  /// What keeps them.
  private var keptSpots: [any SpotProcedure] = []
  private struct Spot {
    // Not counted, which would cost more than the rest of finding it.
    unowned(unsafe) let procedure: any SpotProcedure
  }
  private var runtimes: [Language: any ProcedureRuntime] = [:]
  private(set) lazy var calls = CallCore(host: self)
  private(set) lazy var side = SideThread(beside: loop)
  private(set) lazy var httpWorkbench = HTTPWorkbench()
  /// What keeps pages of others out, with the names that this server has in the generation in force.
  private(set) lazy var browserGuard = core.browserGuard
  private(set) lazy var nestedCaller = ServerNestedCaller(host: self)
  /// What procedures print and log.
  private(set) lazy var procedureOutput = OutputLimiter(loop: loop, limits: options.procedures) {
    [log] in log.printed($0)
  }
  private var connections: [ObjectIdentifier: ServerConnection] = [:]
  private(set) var isDraining = false
  private var drained: (() -> Void)?

  /// The methods of the catalogue in force, as gRPC offers them: made when the first asks.
  private var madeMethods: GRPCMethods?
  var grpcMethods: GRPCMethods {
    if let madeMethods, madeMethods.catalogue === catalogue { return madeMethods }
    let methods = GRPCMethods(catalogue)
    madeMethods = methods
    return methods
  }

  var agent: String { core.agent }

  init(index: Int, loop: EventLoop, options: ServerOptions, core: ServerCore, catalogue: Catalogue) {
    self.index = index
    self.loop = loop
    self.options = options
    self.core = core
    self.catalogue = catalogue
    log = core.log.loopLog(on: loop)
    loop.busyPollNanoseconds = UInt64(options.busyPollMicroseconds) * 1000
    resizeMetrics()
  }

  // MARK: Connections

  /// Takes a connection that the listener accepted.
  func adopt(_ descriptor: consuming Descriptor, from peer: SocketAddress) {
    let local = SocketAddress.local(of: descriptor.raw)
    let socket = Connection(
      adopting: descriptor, on: loop, limits: options.connectionLimits, budget: core.memory)
    let connection = ServerConnection(
      socket: socket, host: self, caller: Caller(peer: peer, local: local), dialects: options.dialects,
      filters: options.filters)
    connections[ObjectIdentifier(connection)] = connection
    metrics.value.connections += 1
    metrics.value.connectionsTotal += 1
    log.connected(connection.caller)
    do {
      try connection.start()
      if isDraining { connection.drain() }
    } catch {
      closed(connection, reason: .failed(error))
    }
  }

  func closed(_ connection: ServerConnection, reason: CloseReason) {
    guard connections.removeValue(forKey: ObjectIdentifier(connection)) != nil else { return }
    metrics.value.connections -= 1
    metrics.value.bytesIn &+= connection.socket.bytesReceived
    metrics.value.bytesOut &+= connection.socket.bytesSent
    core.connectionEnded()
    log.disconnected(connection.caller, reason)
    if isDraining, connections.isEmpty { finishDraining() }
  }

  // MARK: Counting

  @inline(__always)
  func countExecutions(_ procedure: BoundProcedure, _ count: UInt64) {
    metrics.value.calls &+= count
    procedureMetrics.value[Int(procedure.id)].calls &+= count
  }

  func countFailure(_ procedure: BoundProcedure?, _ error: RPCError, code: StatusCode) {
    metrics.value.errors &+= 1
    switch error.exception {
    case .cancelled: metrics.value.cancelled &+= 1
    case .deadlineExceeded: metrics.value.deadlineExceeded &+= 1
    case .clientNotRegistered, .resourceExhausted: metrics.value.refused &+= 1
    default: break
    }
    if let procedure {
      procedureMetrics.value[Int(procedure.id)].countError(code)
    } else {
      otherMetrics.value.countError(code)
    }
  }

  /// A call that ended where it was read, in a runtime.
  @inline(__always)
  func countDuration(_ procedure: BoundProcedure) {
    procedureMetrics.value[Int(procedure.id)].countDuration(SystemClock.monotonicNanoseconds() &- loop.now)
  }

  func count(_ call: ServerCall, _ result: Result<[UInt8], RPCError>) {
    countExecutions(call.procedure, 1)
    procedureMetrics.value[Int(call.procedure.id)].countDuration(
      SystemClock.monotonicNanoseconds() &- call.started)
    if case .failure(let error) = result { countFailure(call.procedure, error, code: error.code) }
  }

  private func resizeMetrics() {
    while procedureMetrics.value.count < catalogue.procedures.count {
      procedureMetrics.value.append(ProcedureMetrics())
    }
    spots.value = ContiguousArray(repeating: nil, count: catalogue.procedures.count)
    keptSpots = []
  }

  /// A copy of this loop's counters, those of open connections included.
  func snapshot() -> LoopSnapshot {
    var totals = metrics.value
    for connection in connections.values {
      totals.bytesIn &+= connection.socket.bytesReceived
      totals.bytesOut &+= connection.socket.bytesSent
    }
    return LoopSnapshot(
      totals: totals, procedures: Array(procedureMetrics.value), other: otherMetrics.value,
      loads: runtimes.mapValues(\.load),
      isolation: runtimes.values.lazy.compactMap(\.isolationTier).first)
  }

  /// Whether this server serves.
  var health: ServerHealth {
    let degraded = core.degraded
    let isEmpty =
      degraded != nil
      && catalogue.allProcedures.allSatisfy { procedure in
        if case .system = procedure.implementation { true } else { false }
      }
    return ServerHealth(isDraining: isDraining, degraded: degraded, isEmpty: isEmpty)
  }

  // MARK: Generations

  /// Puts a generation in force: the very next call runs its code. Calls in flight keep what they hold.
  func adopt(_ next: Catalogue) {
    let before = catalogue
    catalogue = next
    namesChanged()
    nestedCaller.update(core.topology)
    resizeMetrics()
    if next.serial != before.serial || next.topologyDigest != before.topologyDigest {
      for connection in connections.values { connection.announce(generation: next.serial) }
    }
    let kept = Set(next.allProcedures.map(\.procedure.digest))
    let gone = Set(before.allProcedures.map(\.procedure.digest)).subtracting(kept).filter { !$0.isEmpty }
    guard !gone.isEmpty else { return }
    for runtime in runtimes.values { runtime.forget(digests: Array(gone)) }
  }

  /// Takes over what can change of the options while the server runs.
  func adopt(allowsGet: Bool, drainTimeoutMilliseconds: Int) {
    options.allowsGet = allowsGet
    options.drainTimeoutMilliseconds = drainTimeoutMilliseconds
    namesChanged()
  }

  /// The names of this server, or what is decided by them, are others now.
  func namesChanged() {
    browserGuard = core.browserGuard
    httpWorkbench.knownHeads.value.removeAll()
  }

  /// Loads sources so that calls of them start at once; `completion` gets those that cannot be loaded.
  func prepare(_ units: [SourceUnit], completion: @escaping ([UnitFailure]) -> Void) {
    var waiting = units.count + 1
    var failures: [UnitFailure] = []
    func finishedOne(_ failure: UnitFailure?) {
      if let failure { failures.append(failure) }
      waiting -= 1
      if waiting == 0 { completion(failures) }
    }
    for unit in units {
      guard let runtime = runtime(for: unit.procedure.language) else {
        let error = RPCError(
          .failedPrecondition, "this server runs no \(unit.procedure.language.name)")
        finishedOne(UnitFailure(unit: unit, error: error))
        continue
      }
      runtime.prepare(unit) { result in
        guard case .failure(let error) = result else { return finishedOne(nil) }
        finishedOne(UnitFailure(unit: unit, error: error))
      }
    }
    finishedOne(nil)
  }

  /// Ends the loading of what is no longer to be deployed.
  func cancelPreparing(_ units: [SourceUnit]) {
    for runtime in runtimes.values { runtime.cancelPreparing(units) }
  }

  /// The secrets were read again.
  func secretsChanged() {
    for runtime in runtimes.values { runtime.secretsChanged() }
  }

  func runtime(for language: Language) -> (any ProcedureRuntime)? {
    if let runtime = runtimes[language] { return runtime }
    guard let entry = options.languages[language] else { return nil }
    let output = procedureOutput
    let runtime = entry.runtime(
      RuntimeContext(
        loop: loop, limits: options.procedures, nested: nestedCaller, isolation: options.isolationPolicy,
        secrets: core.secrets, quarantine: core.quarantine, interpreters: core.interpreters,
        environments: core.environmentsDirectory,
        // One says it for all.
        note: { [core, index] in if index == 0 { core.log.note($0) } }, warn: { [core] in core.log.warn($0) },
        log: { output.log($0) }))
    runtimes[language] = runtime
    return runtime
  }

  @inline(__always)
  func spot(of procedure: BoundProcedure) -> (any SpotProcedure)? {
    spots.value[Int(procedure.id)]?.procedure
  }

  /// A call of this procedure was begun.
  func noteSpot(_ procedure: BoundProcedure, _ unit: SourceUnit, in runtime: any ProcedureRuntime) {
    let id = Int(procedure.id)
    guard spots.value[id] == nil, catalogue.procedures[id] === procedure else { return }
    guard let spot = runtime.spotProcedure(of: unit) else { return }
    keptSpots.append(spot)
    spots.value[id] = Spot(procedure: spot)
  }

  // MARK: The end

  /// Takes no more calls; `completion` runs when the last connection is closed.
  func drain(completion: @escaping () -> Void) {
    isDraining = true
    drained = completion
    for connection in connections.values { connection.drain() }
    if connections.isEmpty { finishDraining() }
  }

  private func finishDraining() {
    let completion = drained
    drained = nil
    completion?()
  }

  /// Ends every call and connection, at once.
  func shutDown() {
    for connection in connections.values { connection.socket.close() }
    for runtime in runtimes.values { runtime.shutdown() }
    spots.value.removeAll()
    keptSpots = []
    runtimes.removeAll()
    nestedCaller.close()
    side.stop()
    procedureOutput.flush()
    log.flush()
  }
}
