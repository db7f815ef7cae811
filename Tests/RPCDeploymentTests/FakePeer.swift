import RPCClient
import RPCKeys
import RPCWire
import Synchronization
import TestSupport

@testable import RPCDeployment

/// A server in memory but for its store: the real staging behind the peer's interface, with a fault that a test
/// sets.
actor FakePeer: DeploymentPeer {
  enum Step: String, CaseIterable, Sendable {
    case status, catalogue, begin, put, prepare, commit, abort, unlock
  }

  enum Fault: Sendable {
    /// The step does not reach the server.
    case unreachable
    /// The server does it, but its answer is lost.
    case answerLost
    case refused
  }

  private let directory = TemporaryDirectory(inMemory: true)
  private let staging: Staging
  /// What it answers to the next preparations, until healed.
  private var loadFailures: [LoadFailure] = []
  private var faults: [Step: (fault: Fault, count: Int)] = [:]
  private(set) var steps: [Step] = []
  /// Called before a step is done.
  private var claimed: Int?
  private var before: [Step: @Sendable () async -> Void] = [:]

  init() throws {
    let store = try GenerationStore(directory: directory.path)
    store.recover(as: key)
    staging = Staging(store: store) { 0 }
  }

  /// Its own, which it proves.
  private let key = PrivateKey.random()
  func provenKey() async -> PublicKey? { key.publicKey }
  var deployment: DeploymentOrigin? { staging.store.inForce?.origin }

  /// The whole of it.
  func deployOther(_ id: String, _ manifest: Manifest) throws {
    try beginOther(id, manifest)
    if try staging.startLoading(id, now: 0) != nil {
      try staging.finishLoading(id, succeeded: true, now: 0)
    }
    _ = try staging.commit(id, now: 0)
  }

  /// Begins a deployment for somebody else than the deployer under test.
  func beginOther(_ id: String, _ manifest: Manifest) throws {
    let inForce = DeploymentBase(
      manifest: staging.store.current?.digest ?? "", topology: staging.store.topology?.digest ?? "")
    let request = Samples.request(
      id, Samples.content(manifest), serial: staging.store.highestSerial + 1, base: inForce, who: "eve",
      for: key.publicKey)
    _ = try staging.begin(request, from: Samples.deployer.publicKey, now: 0)
  }

  /// Lets a step fail, `count` times.
  func fail(_ step: Step, _ fault: Fault, count: Int = .max) { faults[step] = (fault, count) }
  func failLoading(_ failures: [LoadFailure]) { loadFailures = failures }
  func heal() {
    faults = [:]
    loadFailures = []
  }
  /// Lets writes fail with an error of the operating system, 0 for none.
  func failDisk(_ code: Int32) { staging.store.disk.intercept = { $0.name == "write" ? code : 0 } }
  /// As when the connection of the deployment that is open is closed.
  func endConnection() { if let id = staging.openTransaction { staging.abort(id) } }
  func clearSteps() { steps = [] }
  /// Has it say that it has seen this serial.
  func claim(_ serial: Int?) { claimed = serial }
  func before(_ step: Step, _ action: @escaping @Sendable () async -> Void) { before[step] = action }
  var manifest: Manifest? { staging.store.current?.manifest }
  var topology: StoredTopology? { staging.store.topology }
  var serial: Int? { staging.store.current?.serial }
  /// The sources on its disk.
  func objects() throws -> [String] {
    let disk = staging.store.disk
    return try disk.list("objects").flatMap { try disk.list("objects/\($0)") }
  }
  var isLocked: Bool { staging.status(now: 0).lock != nil }

  private func run<Result: Sendable>(
    _ step: Step, _ body: (Staging) throws(DeploymentError) -> Result
  ) async throws(RPCError) -> Result {
    steps.append(step)
    if let action = before[step] { await action() }
    if Task.isCancelled { throw RPCError(.cancelled, "cancelled") }
    let fault = faults[step].flatMap { $0.count > 0 ? $0.fault : nil }
    if fault != nil { faults[step]?.count -= 1 }
    switch fault {
    case .unreachable: throw RPCError(.unavailable, "no route")
    case .refused: throw RPCError(.failedPrecondition, "f.py:3: no function 'f'")
    case .answerLost, nil: break
    }
    let result: Result
    do throws(DeploymentError) {
      result = try body(staging)
    } catch {
      throw error.rpcError
    }
    if case .answerLost = fault { throw RPCError(.unavailable, "connection lost", executed: .maybe) }
    return result
  }

  func status() async throws(RPCError) -> DeploymentStatus {
    // Through the wire's form, as a real answer comes.
    var status = try DeployStatus.answer(await run(.status) { $0.status(now: 0).values })
    status.highestSerial = claimed ?? status.highestSerial
    return status
  }

  func catalogue() async throws(RPCError) -> ServerCatalogue {
    try await run(.catalogue) { staging in
      guard let current = staging.store.current, let topology = staging.store.topology else {
        return ServerCatalogue()
      }
      let content = DeploymentContent(manifest: current.manifest, topology: topology.topology)
      return ServerCatalogue(content, generation: current.serial)
    }
  }

  func begin(_ request: DeployBegin) async throws(RPCError) -> [String] {
    try await run(.begin) { staging throws(DeploymentError) in
      try staging.begin(request, from: Samples.deployer.publicKey, now: 0)
    }
  }

  func put(_ request: DeployPut) async throws(RPCError) -> Int {
    try await run(.put) { staging throws(DeploymentError) in
      try staging.put(
        request.transaction, digest: request.digest, offset: request.offset, bytes: request.data,
        last: request.last, now: 0)
    }
  }

  func prepare(_ transaction: String, installs: Bool) async throws(RPCError) -> [LoadFailure] {
    let failures = loadFailures
    return try await run(.prepare) { staging throws(DeploymentError) in
      guard try staging.startLoading(transaction, now: 0) != nil else { return [] }
      try staging.finishLoading(transaction, succeeded: failures.isEmpty, now: 0)
      return failures
    }
  }

  func commit(_ transaction: String) async throws(RPCError) -> Int {
    try await run(.commit) { staging throws(DeploymentError) in
      try staging.commit(transaction, now: 0).serial
    }
  }

  func abort(_ transaction: String) async throws(RPCError) {
    try await run(.abort) { $0.abort(transaction) }
  }

  func unlock(who: String) async throws(RPCError) -> DeploymentStatus.Lock? {
    try await run(.unlock) { $0.unlock(by: who, now: 0) }
  }
}

/// Two servers and what they are to be given.
struct FakeNetwork {
  let s1: FakePeer
  let s2: FakePeer

  init() throws { try self.init(FakePeer(), FakePeer()) }

  init(_ s1: FakePeer, _ s2: FakePeer) {
    self.s1 = s1
    self.s2 = s2
  }

  static func manifest(_ server: String, _ procedures: [(name: String, source: [UInt8])]) -> Manifest {
    Samples.manifest(
      procedures.map { Samples.procedure("text", $0.name, source: $0.source) }, server: server)
  }

  static let first: [(name: String, source: [UInt8])] = [
    ("concat", Samples.sourceA), ("add", Samples.sourceB),
  ]

  func deployer(
    _ procedures: [(name: String, source: [UInt8])] = first, topology: Topology = Samples.topology,
    witnesses: [FakePeer] = [], _ change: (inout Deployer.Options) -> Void = { _ in }
  ) -> Deployer {
    var options = Deployer.Options()
    options.pause = .milliseconds(1)
    options.key = Samples.deployer
    change(&options)
    let targets = [("s1", s1), ("s2", s2)].map { name, peer in
      Deployer.Target(
        server: Topology.Server(name: name, host: "127.0.0.1", port: 1),
        content: DeploymentContent(manifest: Self.manifest(name, procedures), topology: topology),
        peer: peer)
    }
    let sources = Dictionary(
      procedures.map { (ContentDigest.hex(of: $0.source), $0.source) }, uniquingKeysWith: { $1 })
    return Deployer(targets: targets, sources: sources, witnesses: witnesses, options: options)
  }
}
