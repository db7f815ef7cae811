internal import RPCDeployment
internal import RPCKeys
internal import RPCNetwork
internal import RPCProcedures
internal import RPCSystem
internal import RPCTransport
internal import RPCWire
internal import Synchronization

/// What all loops of a server share, and all that they share: its name, its log, the table of ids, and the
/// handles of the loops. Only rare events come here.
internal final class ServerCore: Sendable {
  let agent: String
  let options: ServerOptions
  let log: ServerLog
  let deployers: Deployers
  let tls: ServerTLS
  /// What services may name as their secrets.
  let secrets: SecretStore
  /// Procedures that are not called any more.
  let quarantine: Quarantine
  /// What `python:` of services chooses from.
  let interpreters: PythonInterpreters
  /// Where the packages of requirements are; nil where nothing is kept.
  let environmentsDirectory: String?
  /// What all connections hold.
  let memory: MemoryBudget
  /// When the server started, in milliseconds since 1970, as its clock was then.
  let startedMilliseconds: Int64
  /// The same time on the monotonic clock, in nanoseconds, which is never set.
  let started: UInt64
  private let state = Lock(State())
  /// Open connections of all loops, to hold the bound before one is handed out.
  private let connectionCount = Atomic<Int>(0)
  private let connectionLimit: Atomic<Int>

  private struct State {
    var hosts: [LoopHandle] = []
    var identifiers = ProcedureIdentifiers()
    var natives: [NativeProcedure] = []
    /// Of the last catalogue.
    var edition = 0
    var serverName: String?
    var topology = Topology(servers: [], clients: [], services: [])
    var deployments: DeploymentService?
    var degraded: String?
    var browserGuard = BrowserGuard(hosts: [], origins: [])
    var allowedHosts: [String] = []
    var allowedOrigins: [String] = []
    var listensOn: String?
    var key = PrivateKey.random()
    var served: (generation: Int, procedures: Int) = (0, 0)
    var statusChanged: (@Sendable () -> Void)?
  }

  /// One loop, as other threads reach it.
  struct LoopHandle: Sendable {
    let mailbox: Mailbox
    let host: LoopConfined<ServerLoop>
  }

  init(
    options: ServerOptions, agent: String, natives: [NativeProcedure], log: ServerLog, tls: ServerTLS
  ) {
    self.agent = agent
    self.tls = tls
    self.options = options
    secrets = SecretStore(
      directory: options.secretsDirectory, credentials: options.credentialsDirectory)
    quarantine = Quarantine(limits: options.procedures)
    interpreters = PythonInterpreters(told: options.interpreterFolders)
    environmentsDirectory = options.dataDirectory.map {
      WholePath.of($0) + "/" + GenerationStore.environmentsName
    }
    self.log = log
    memory = MemoryBudget(limit: options.memoryBytes > 0 ? options.memoryBytes : SystemMemory.bytes / 4) {
      // Where no thread can be started the memory stays, to be used again.
      try? LoopThread.spawn(name: "rpc-trim") { SystemMemory.giveBackFree() }
    }
    deployers = Deployers(file: options.deployersFile)
    startedMilliseconds = SystemClock.wallMilliseconds()
    started = SystemClock.monotonicNanoseconds()
    connectionLimit = Atomic(options.connections)
    state.withLock { state in
      state.natives = natives
      state.allowedHosts = options.allowedHosts
      state.allowedOrigins = options.allowedOrigins
    }
    tls.setDeployers(deployers)
  }

  /// Why the server does not serve what was committed last, nil when all is well.
  var degraded: String? { state.withLock { $0.degraded } }
  var deployments: DeploymentService? { state.withLock { $0.deployments } }
  var serverName: String? { state.withLock { $0.serverName } }
  /// Whom clients find here: the key of the data directory, or where nothing is kept one for this run alone.
  var key: PrivateKey { state.withLock { $0.key } }
  /// Who is who, as what is in force says.
  var topology: Topology { state.withLock { $0.topology } }
  var loops: [LoopHandle] { state.withLock { $0.hosts } }

  /// What keeps other pages out.
  var browserGuard: BrowserGuard { state.withLock { $0.browserGuard } }

  /// Notes the name that the server was told to listen on.
  func setHost(_ host: String) {
    state.withLock { state in
      state.listensOn = host
      updateBrowserGuard(&state)
    }
  }

  /// Other certificates are shown now, which may name other hosts.
  func certificatesChanged() {
    state.withLock { updateBrowserGuard(&$0) }
    onEveryLoop { $0.namesChanged() }
  }

  private func updateBrowserGuard(_ state: inout State) {
    var hosts = state.allowedHosts + tls.hosts
    if let host = state.listensOn { hosts.append(host) }
    if let name = state.serverName, let server = state.topology.server(name) { hosts += [name, server.host] }
    state.browserGuard = BrowserGuard(hosts: hosts, origins: state.allowedOrigins)
  }

  /// Takes other hosts and origins; the loops ask for them.
  func setAccess(hosts: [String], origins: [String]) {
    state.withLock { state in
      state.allowedHosts = hosts
      state.allowedOrigins = origins
      updateBrowserGuard(&state)
    }
  }

  func setDeployments(_ service: DeploymentService) {
    state.withLock { $0.deployments = service }
  }

  func setDegraded(_ reason: String?) {
    let changed = state.withLock { state in
      state.degraded = reason
      return state.statusChanged
    }
    changed?()
  }

  func setKey(_ key: PrivateKey) {
    state.withLock { $0.key = key }
  }

  func setLoops(_ loops: [LoopHandle]) {
    state.withLock { $0.hosts = loops }
  }

  // MARK: Status

  /// What the server serves, in one line for people.
  var statusText: String {
    state.withLock { state in
      let (generation, procedures) = state.served
      let name = state.serverName.map { " as '\($0)'" } ?? ""
      let served =
        generation == 0
        ? "nothing deployed yet"
        : "generation \(generation), \(procedures) procedure\(procedures == 1 ? "" : "s")\(name)"
      return served + (state.degraded.map { "; degraded: \($0)" } ?? "")
    }
  }

  /// Calls `action`, on any thread, whenever `statusText` may be another.
  func onStatusChange(_ action: @escaping @Sendable () -> Void) {
    state.withLock { $0.statusChanged = action }
  }

  // MARK: Connections

  /// Open connections that there may be.
  var connectionsMax: Int { connectionLimit.load(ordering: .relaxed) }

  func setConnectionsMax(_ count: Int) { connectionLimit.store(count, ordering: .relaxed) }

  /// Counts a connection in; false when there are as many as there may be.
  func admitConnection() -> Bool {
    if connectionCount.add(1, ordering: .relaxed).newValue <= connectionsMax { return true }
    connectionCount.subtract(1, ordering: .relaxed)
    return false
  }

  func connectionEnded() {
    connectionCount.subtract(1, ordering: .relaxed)
  }

  // MARK: Catalogues

  /// Makes a generation the one in force, its server name and topology included, and binds it: what was deployed
  /// beside the program's own closures and the system's procedures.
  func activate(_ generation: ActiveGeneration) -> Catalogue {
    tls.update(generation.clients)
    defer { state.withLock(\.statusChanged)?() }
    return state.withLock { state in
      state.served = (generation.serial, generation.units.count)
      state.serverName = generation.serverName ?? state.serverName
      state.topology = generation.topology ?? state.topology
      state.edition += 1
      updateBrowserGuard(&state)
      var services = [
        CatalogueService(name: SystemContract.service, tenants: nil, providers: [], isServedHere: true)
      ]
      services += generation.services
      var positions: [UTF8Key: Int] = [:]
      for (index, service) in services.enumerated() { positions[UTF8Key(service.name)] = index }
      var bound = SystemService.bound(service: 0)
      func bind(_ procedure: Procedure, _ implementation: BoundProcedure.Implementation) {
        let name = procedure.signature.service
        let position: Int
        if let known = positions[UTF8Key(name)] {
          position = known
        } else {
          position = services.count
          positions[UTF8Key(name)] = position
          services.append(CatalogueService(name: name, tenants: nil, providers: [], isServedHere: true))
        }
        bound.append(
          BoundProcedure(
            id: state.identifiers.id(of: procedure), procedure: procedure,
            implementation: implementation, service: position))
      }
      for native in state.natives {
        switch native.implementation {
        case .immediate(let body): bind(native.procedure, .immediate(body))
        case .suspending(let body): bind(native.procedure, .suspending(body))
        }
      }
      for unit in generation.units { bind(unit.procedure, .source(unit)) }
      return Catalogue(
        serial: generation.serial, digest: generation.digest, topologyDigest: generation.topologyDigest,
        edition: state.edition, services: services, clients: generation.clients,
        servers: (generation.topology?.servers ?? []).compactMap { ServerRule($0) }, procedures: bound)
    }
  }

  // MARK: All loops

  /// Puts a catalogue in force everywhere; `completion` runs when every loop has it.
  func distribute(_ catalogue: Catalogue, completion: @escaping @Sendable () -> Void) {
    onEveryLoop({ host in host.adopt(catalogue) }, completion: completion)
  }

  /// Loads sources on every loop; `completion` gets those that a loop could not load, in the order of `units`, each
  /// once.
  func prepare(_ units: [SourceUnit], completion: @escaping @Sendable ([UnitFailure]) -> Void) {
    let loops = loops
    let countdown = Countdown(loops.count, [ObjectIdentifier: UnitFailure]())
    for handle in loops {
      handle.mailbox.post { loop in
        handle.host.on(loop).prepare(units) { failures in
          let all = countdown.finishOne { sum in
            for failure in failures { sum[ObjectIdentifier(failure.unit)] = failure }
          }
          if let all { completion(units.compactMap { all[ObjectIdentifier($0)] }) }
        }
      }
    }
  }

  func gatherMetrics(_ completion: @escaping @Sendable (LoopSnapshot) -> Void) {
    let loops = loops
    let countdown = Countdown(loops.count, LoopSnapshot())
    for handle in loops {
      handle.mailbox.post { loop in
        let snapshot = handle.host.on(loop).snapshot()
        if let sum = countdown.finishOne({ $0 = $0 + snapshot }) { completion(sum) }
      }
    }
  }

  func onEveryLoop(
    _ body: @escaping @Sendable (ServerLoop) -> Void, completion: @escaping @Sendable () -> Void = {}
  ) {
    let loops = loops
    let countdown = Countdown(loops.count, ())
    for handle in loops {
      handle.mailbox.post { loop in
        body(handle.host.on(loop))
        if countdown.finishOne({ _ in }) != nil { completion() }
      }
    }
  }
}

/// Waits for one answer of each loop and gives the sum to the last one.
internal final class Countdown<Sum: Sendable>: Sendable {
  private let state: Lock<(left: Int, sum: Sum)>

  init(_ count: Int, _ start: Sum) {
    state = Lock((count, start))
  }

  /// Adds one answer; returns the sum to the last one that comes.
  func finishOne(_ add: (inout Sum) -> Void) -> Sum? {
    state.withLock { state in
      add(&state.sum)
      state.left -= 1
      return state.left == 0 ? state.sum : nil
    }
  }
}

/// Gives every signature a number, once: while the server runs an id means what its BOUND said. That includes
/// whether a call may be repeated, which a client goes by that has not asked again.
internal struct ProcedureIdentifiers {
  private struct Key: Hashable {
    @ComparedByUTF8 var service: String
    @ComparedByUTF8 var name: String
    var parameters: [ValueType]
    var returns: [ValueType]
    var isIdempotent: Bool
  }

  private var known: [Key: UInt32] = [:]
  private var next = UInt32(SystemContract.procedures.count)

  mutating func id(of procedure: Procedure) -> UInt32 {
    let signature = procedure.signature
    let key = Key(
      service: signature.service, name: signature.name, parameters: signature.parameterTypes,
      returns: signature.returns, isIdempotent: procedure.idempotent)
    if let id = known[key] { return id }
    defer { next += 1 }
    known[key] = next
    return next
  }
}
