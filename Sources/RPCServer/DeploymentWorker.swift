internal import RPCDeployment
internal import RPCKeys
internal import RPCNetwork
internal import RPCProcedures
internal import RPCSystem
internal import RPCTransport
internal import RPCWire

/// Steps `Staging` through begin, put, prepare and commit, has the loops load what is prepared, and puts what is
/// committed in force on all of them. Belongs to the deployment thread.
internal final class DeploymentWorker {
  private let core: ServerCore
  private let loop: EventLoop
  let staging: Staging
  /// What the loops have loaded for the transaction that is being prepared: the same objects go in force, so
  /// that nothing is loaded twice.
  private var loaded: (transaction: String, units: [SourceUnit])?
  /// What the loops are loading, for which of the deployments that were begun.
  private var loading: (begun: Int, units: [SourceUnit])?
  /// What is being installed before that.
  internal var installation: Installation?
  /// What is in force. A procedure that did not change keeps its unit, and so what runtimes made of it.
  private var inForce: [Procedure: SourceUnit] = [:]
  /// The same in the manifest's order, with what could not be loaded at the start.
  private var servedUnits: [SourceUnit] = []
  /// What the log said last of the store's state.
  private var reportedProblem: String?

  init(store: GenerationStore, core: ServerCore, loop: EventLoop) {
    self.core = core
    self.loop = loop
    staging = Staging(store: store) { Int(SystemClock.wallMilliseconds()) }
  }

  /// Leaves the directory to the server that serves it next.
  func close() {
    installation?.shutDown()
    installation = nil
    staging.store.close()
  }

  // MARK: The start

  func restore(_ completion: @escaping @Sendable () -> Void) {
    reportProblem()
    guard let generation = staging.store.current else { return completion() }
    let work = LoadingWork(manifest: generation.manifest, sources: staging.store.takeRecoveredSources())
    work.pythonVersions.forEach(core.interpreters.look(for:))
    let units = work.units
    let confined = LoopConfined(self, to: loop)
    let mailbox = loop.mailbox
    core.prepare(units) { failures in
      mailbox.post { loop in
        confined.on(loop).restored(generation, units, failures, completion)
      }
    }
  }

  private func restored(
    _ generation: Generation, _ units: [SourceUnit], _ failures: [UnitFailure],
    _ completion: @escaping @Sendable () -> Void
  ) {
    // What worked when it was deployed is served all the same: its calls say what is wrong.
    if let failure = Self.grouped(failures).first {
      staging.store.degrade("generation \(generation.serial) is served, but \(failure.description())")
    }
    reportProblem()
    staging.store.collectEnvironments()
    // What could not be loaded is tried again by the next deployment, not taken for loaded.
    let failed = Set(failures.map { ObjectIdentifier($0.unit) })
    setInForce(units.filter { !failed.contains(ObjectIdentifier($0)) })
    core.log.note(
      "generation \(generation.serial) restored: \(Self.contents(of: generation))")
    servedUnits = units
    core.distribute(core.activate(active(generation)), completion: completion)
  }

  /// Says in the log and in `system.stats` what is wrong with the store, when that changed.
  private func reportProblem() {
    let problem = staging.store.degraded
    guard problem != reportedProblem else { return }
    reportedProblem = problem
    core.setDegraded(problem)
    if let problem {
      core.log.warn("the data directory is degraded: \(problem)")
    } else {
      core.log.note("the data directory is no longer degraded")
    }
  }

  // MARK: One step

  func perform<Step: DeploymentStep>(
    _ step: Step, _ sender: DeploymentSender,
    _ answer: @escaping DeploymentService.Completion<Step.Answer>
  ) {
    defer {
      forgetLoaded()
      reportProblem()
    }
    do throws(DeploymentError) {
      try step.perform(
        by: self, from: sender, now: SystemClock.monotonicNanoseconds(), answer)
    } catch {
      core.log.warn("deployment: \(error)")
      answer(.failure(error.rpcError))
    }
  }

  func note(_ message: String) { core.log.note(message) }

  /// What confines the processes of procedures; `completion` runs on one of the loops.
  func gatherIsolation(_ completion: @escaping @Sendable (String?) -> Void) {
    core.gatherMetrics { completion($0.isolation) }
  }

  /// Ends the deployment that is open where its key may not deploy any more.
  func deployersChanged() {
    guard let key = staging.openDeployer, !trusts(key) else { return }
    staging.abortOpen(reason: "its key may not deploy any more")
    forgetLoaded()
    reportProblem()
  }

  /// Whether a key may deploy here now.
  func trusts(_ key: PublicKey) -> Bool { core.deployers.contains(key) }

  func connectionEnded(_ connection: ObjectIdentifier) {
    staging.connectionEnded(connection)
    forgetLoaded()
    reportProblem()
  }

  /// Lets go of what was or is being loaded for a deployment that has ended.
  private func forgetLoaded() {
    if let loading, loading.begun != staging.begun || staging.openTransaction == nil {
      self.loading = nil
      let units = loading.units
      core.onEveryLoop { $0.cancelPreparing(units) }
      installation?.cancel()
      installation = nil
    }
    if let loaded, loaded.transaction != staging.openTransaction { self.loaded = nil }
  }

  /// Has every loop load what was sent; `answer` gets what could not be loaded.
  func prepare(
    _ transaction: String, _ connection: ObjectIdentifier, now: UInt64,
    _ answer: @escaping DeploymentService.Completion<[LoadFailure]>
  ) throws(DeploymentError) {
    guard let work = try staging.startLoading(transaction, connection: connection, now: now) else {
      return answer(.success([]))
    }
    let units = work.units.map { inForce[$0.procedure] ?? $0 }
    let begun = staging.begun
    loading = (begun, units)
    installation?.cancel()
    installation = nil
    work.pythonVersions.forEach(core.interpreters.look(for:))
    let wanted = work.requirements
    guard !wanted.isEmpty else { return load(transaction, begun, units, answer) }
    installation = Installation(wanted, for: transaction, core: core, staging: staging, on: loop, answer) {
      [weak self] failures in
      guard let self else { return }
      installation = nil
      if failures.isEmpty {
        load(transaction, begun, units, answer)
      } else {
        notInstalled(transaction, begun, failures, answer)
      }
    }
    installation?.start()
  }

  private func load(
    _ transaction: String, _ begun: Int, _ units: [SourceUnit],
    _ answer: @escaping DeploymentService.Completion<[LoadFailure]>
  ) {
    let confined = LoopConfined(self, to: loop)
    let mailbox = loop.mailbox
    core.prepare(units) { failures in
      mailbox.post { loop in
        confined.on(loop).prepared(transaction, begun, units, failures, answer)
      }
    }
  }

  private func notInstalled(
    _ transaction: String, _ begun: Int, _ failures: [LoadFailure],
    _ answer: DeploymentService.Completion<[LoadFailure]>
  ) {
    if loading?.begun == begun { loading = nil }
    do throws(DeploymentError) {
      guard begun == staging.begun else { throw Staging.unknown(transaction) }
      try staging.finishLoading(
        transaction, succeeded: false, now: SystemClock.monotonicNanoseconds())
    } catch {
      return answer(.failure(error.rpcError))
    }
    for failure in failures {
      core.log.warn("deployment \(transaction) cannot be prepared: \(failure.description())")
    }
    answer(.success(failures))
  }

  private func prepared(
    _ transaction: String, _ begun: Int, _ units: [SourceUnit], _ failures: [UnitFailure],
    _ answer: DeploymentService.Completion<[LoadFailure]>
  ) {
    if loading?.begun == begun { loading = nil }
    defer { reportProblem() }
    do throws(DeploymentError) {
      // It may have ended meanwhile, and another one of the same name may have begun.
      guard begun == staging.begun else { throw Staging.unknown(transaction) }
      try staging.finishLoading(
        transaction, succeeded: failures.isEmpty, now: SystemClock.monotonicNanoseconds())
    } catch {
      return answer(.failure(error.rpcError))
    }
    guard failures.isEmpty else {
      let groups = Self.grouped(failures)
      for group in groups {
        core.log.warn("deployment \(transaction) cannot be prepared: \(group.description())")
      }
      return answer(.success(groups))
    }
    loaded = (transaction, units)
    answer(.success([]))
  }

  private static func grouped(_ failures: [UnitFailure]) -> [LoadFailure] {
    LoadFailure.grouped(failures.map { ($0.unit.procedure, $0.error) })
  }

  /// Puts what is prepared in force; `answer` gets its serial once every loop serves it.
  func commit(
    _ transaction: String, _ connection: ObjectIdentifier, now: UInt64,
    _ answer: @escaping @Sendable (Int) -> Void
  ) throws(DeploymentError) {
    let store = staging.store
    let before = (generation: store.current?.serial, topology: store.topology?.serial)
    let generation = try staging.commit(transaction, connection: connection, now: now)
    if generation.serial == before.generation {
      // Nothing to switch where the commit was done before.
      guard let topology = store.topology, topology.serial != before.topology else {
        return answer(generation.serial)
      }
      core.log.note(
        "topology \(topology.serial) in force: \(English.count(topology.topology.servers.count, "server")), "
          + "\(English.count(topology.topology.clients.count, "client")); generation \(generation.serial) stays"
      )
    } else {
      guard let loaded, loaded.transaction.hasSameUTF8(as: transaction) else {
        preconditionFailure("only what was prepared here is committed")
      }
      setInForce(loaded.units)
      servedUnits = loaded.units
      self.loaded = nil
      core.log.note("generation \(generation.serial) in force: \(Self.contents(of: generation))")
    }
    liftQuarantine()
    store.collectEnvironments()
    core.distribute(core.activate(active(generation))) { answer(generation.serial) }
  }

  private static func contents(of generation: Generation) -> String {
    "\(English.count(generation.manifest.procedures.count, "procedure")) as server '\(generation.manifest.server)'"
  }

  /// Whatever was deployed may have repaired them.
  private func liftQuarantine() {
    for entry in core.quarantine.lift() {
      core.log.note("\(entry.signature.overloadText) is no longer in quarantine")
    }
  }

  /// What the loops are to serve: a generation of the store with the topology in force.
  private func active(_ generation: Generation) -> ActiveGeneration {
    let manifest = generation.manifest
    var active = ActiveGeneration()
    active.serial = generation.serial
    active.digest = generation.digest
    active.serverName = manifest.server
    active.services = manifest.services.map { service in
      CatalogueService(
        name: service.name, tenants: service.tenants, providers: service.providers,
        isServedHere: service.providers.contains(manifest.server))
    }
    active.units = servedUnits
    if let stored = staging.store.topology {
      let content = DeploymentContent(manifest: manifest, topology: stored.topology)
      active.clients = content.topology.clients.compactMap { ClientRule($0) }
      active.topology = content.network
      active.topologyDigest = stored.digest
    }
    return active
  }

  private func setInForce(_ units: [SourceUnit]) {
    inForce = Dictionary(units.map { ($0.procedure, $0) }) { first, _ in first }
  }
}

/// A procedure that a loop could not load.
internal struct UnitFailure: Sendable {
  var unit: SourceUnit
  var error: RPCError
}
