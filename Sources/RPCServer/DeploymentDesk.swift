internal import RPCClient
internal import RPCDeployment
internal import RPCProcedures
internal import RPCTransport
internal import RPCWire

/// Where deployments are taken: a thread of its own, so that a disk that is slow to sync delays no call. It
/// steps `Staging` through begin, put, prepare and commit, has the loops load what is prepared, and puts
/// what is committed in force on all of them.
internal final class DeploymentDesk: Sendable {
  typealias Answer = @Sendable (Result<[Value], RPCError>) -> Void

  private let thread: LoopThread
  private let room: LoopConfined<DeploymentRoom>

  /// Opens the store.
  ///
  /// - Throws: `DeploymentError` where the directory cannot be used, `SystemError` where no thread starts.
  init(directory: String, core: ServerCore) throws {
    let made = Handover<LoopConfined<DeploymentRoom>>()
    let store = Handover<GenerationStore>()
    store.put(try GenerationStore(directory: directory))
    thread = try LoopThread(name: "rpc-deploy") { loop in
      made.put(LoopConfined(DeploymentRoom(store: store.take(), core: core, loop: loop), to: loop))
    }
    let ready = Finished()
    thread.mailbox.post { _ in ready.signal() }
    ready.wait()
    room = made.take()
  }

  /// Puts the generation on disk in force, as at the server's start; `completion` runs when calls of it are
  /// served.
  func restore(completion: @escaping @Sendable () -> Void) {
    let room = room
    thread.mailbox.post { loop in room.on(loop).restore(completion) }
  }

  /// One `system.deploy_*` call.
  func handle(_ procedure: SystemProcedure, _ values: [Value], completion: @escaping Answer) {
    let room = room
    let accepted = thread.mailbox.post { loop in
      room.on(loop).handle(procedure, values, completion)
    }
    if !accepted { completion(.failure(Session.draining)) }
  }

  func stop() {
    let room = room
    thread.mailbox.post { loop in room.on(loop).close() }
    thread.stop()
    thread.join()
  }
}

/// The desk's state, on its thread.
private final class DeploymentRoom {
  private let core: ServerCore
  private let loop: EventLoop
  private let staging: Staging
  /// What the loops have loaded for the transaction that is being prepared: the same objects go in force, so
  /// that nothing is loaded twice.
  private var loaded: (transaction: String, units: [SourceUnit])?
  /// What is in force. A procedure that did not change keeps its unit, and so what runtimes made of it.
  private var inForce: [Procedure: SourceUnit] = [:]

  init(store: GenerationStore, core: ServerCore, loop: EventLoop) {
    self.core = core
    self.loop = loop
    staging = Staging(store: store) { Int(Syscall.wallMilliseconds()) }
  }

  /// Leaves the directory to whoever serves it next.
  func close() { staging.store.close() }

  func restore(_ completion: @escaping @Sendable () -> Void) {
    if let degraded = staging.store.degraded { core.log.warn("the data directory is degraded: \(degraded)") }
    guard let generation = staging.store.current else { return completion() }
    let work: LoadingWork
    do {
      work = LoadingWork(
        manifest: generation.manifest, sources: try staging.store.sources(of: generation.manifest))
    } catch {
      core.log.warn("generation \(generation.serial) cannot be served: \(error)")
      return completion()
    }
    let units = work.units
    putInForce(units)
    let core = core
    core.prepare(units) { failure in
      // What worked when it was deployed is served all the same: its calls tell what is wrong.
      if let failure { core.log.warn("generation \(generation.serial): \(failure)") }
      core.log.note(
        "generation \(generation.serial) restored: \(units.count) procedures as server '\(work.manifest.server)'"
      )
      core.distribute(core.catalogue(of: Served(generation, units)), completion: completion)
    }
  }

  func handle(_ procedure: SystemProcedure, _ values: [Value], _ answer: @escaping DeploymentDesk.Answer) {
    let now = Syscall.monotonicNanoseconds()
    do throws(DeploymentError) {
      switch procedure {
      case .deployStatus: answer(.success([staging.status(now: now).value]))
      case .deployBegin:
        let wanted = try staging.begin(
          text(values, 0), who: text(values, 1), baseDigest: text(values, 2), force: values[3] == true,
          manifest: values[4].bytesValue ?? [], now: now)
        core.log.note("deployment \(text(values, 0)) by \(text(values, 1)): \(wanted.count) sources wanted")
        answer(.success([.list(wanted.map { .string($0) })]))
      case .deployPut:
        let count = try staging.put(
          text(values, 0), digest: text(values, 1), offset: Int(values[2].intValue ?? -1),
          bytes: values[3].bytesValue ?? [], last: values[4] == true, now: now)
        answer(.success([.int(Int64(count))]))
      case .deployPrepare: try prepare(text(values, 0), now: now, answer)
      case .deployCommit: try commit(text(values, 0), now: now, answer)
      case .deployAbort:
        staging.abort(text(values, 0))
        if loaded?.transaction == text(values, 0) { loaded = nil }
        answer(.success([]))
      case .ping, .catalogue, .stats, .source: preconditionFailure("not a step of a deployment")
      }
    } catch {
      core.log.warn("deployment: \(error)")
      answer(.failure(error.rpcError))
    }
  }

  private func text(_ values: [Value], _ index: Int) -> String {
    values[index].stringValue ?? ""
  }

  private func prepare(
    _ transaction: String, now: UInt64, _ answer: @escaping DeploymentDesk.Answer
  ) throws(DeploymentError) {
    guard let work = try staging.startLoading(transaction, now: now) else {
      return answer(.success([.map([])]))
    }
    let units = work.units.map { inForce[$0.procedure] ?? $0 }
    let confined = LoopConfined(self, to: loop)
    let mailbox = loop.mailbox
    core.prepare(units) { failure in
      mailbox.post { loop in
        confined.on(loop).prepared(transaction, units, failure, answer)
      }
    }
  }

  private func prepared(
    _ transaction: String, _ units: [SourceUnit], _ failure: RPCError?, _ answer: DeploymentDesk.Answer
  ) {
    do throws(DeploymentError) {
      try staging.finishLoading(transaction, succeeded: failure == nil, now: Syscall.monotonicNanoseconds())
    } catch {
      return answer(.failure(error.rpcError))
    }
    if let failure {
      core.log.warn("deployment \(transaction) cannot be prepared: \(failure)")
      return answer(.failure(failure))
    }
    loaded = (transaction, units)
    answer(.success([.map([])]))
  }

  private func commit(
    _ transaction: String, now: UInt64, _ answer: @escaping DeploymentDesk.Answer
  ) throws(DeploymentError) {
    let before = staging.store.current?.serial
    let generation = try staging.commit(transaction, now: now)
    if generation.serial == before { return answer(.success([.int(Int64(generation.serial))])) }
    guard let loaded, loaded.transaction == transaction else {
      preconditionFailure("only what was prepared here is committed")
    }
    putInForce(loaded.units)
    self.loaded = nil
    let core = core
    core.log.note(
      "generation \(generation.serial) in force: \(loaded.units.count) procedures as server '\(generation.manifest.server)'"
    )
    core.distribute(core.catalogue(of: Served(generation, loaded.units))) {
      answer(.success([.int(Int64(generation.serial))]))
    }
  }

  private func putInForce(_ units: [SourceUnit]) {
    inForce = Dictionary(units.map { ($0.procedure, $0) }) { first, _ in first }
  }
}

extension Served {
  /// A generation of the store, as the server serves it.
  fileprivate init(_ generation: Generation, _ units: [SourceUnit]) {
    let manifest = generation.manifest
    serial = generation.serial
    digest = generation.digest
    serverName = manifest.server
    services = manifest.services.map { service in
      CatalogueService(
        name: service.name, tenants: service.tenants, providers: service.providers,
        isServedHere: service.providers.contains(manifest.server))
    }
    clients = manifest.clients.compactMap(\.rule)
    topology = manifest.topology
    self.units = units
  }
}
