import RPCClient
package import RPCKeys
package import RPCNetwork
import RPCProcedures
import RPCSystem
import RPCWire

/// Gives servers what a file says, in two phases over all of them: everything is sent, checked and loaded
/// everywhere, and only when every server is ready all of them switch. If one cannot, none does.
///
/// A run that was interrupted leaves nothing to clean up: servers forget what was not committed, and the next
/// run gives every server what it lacks.
package struct Deployer: Sendable {
  package struct Target: Sendable {
    package var server: Topology.Server
    package var content: DeploymentContent
    package var peer: any DeploymentPeer

    package init(server: Topology.Server, content: DeploymentContent, peer: any DeploymentPeer) {
      self.server = server
      self.content = content
      self.peer = peer
    }
  }

  package enum Mode: Sendable, Hashable {
    /// Asks each server what it has, and changes nothing there.
    case compare
    /// A dry run: every server is sent what it lacks and loads it, then all of it is undone.
    case rehearse
    case apply
  }

  package struct Options: Sendable {
    package var mode = Mode.apply
    /// Deploys whatever the servers have, also when they have it already, and ends the deployments of others.
    package var force = false
    /// Names the deployer to others that find the lock taken.
    package var who = "somebody"
    /// Signs what each server is to be; the servers trust it.
    package var key: PrivateKey?
    /// The network's name.
    package var network = DeploymentOrigin.defaultNetwork
    /// What the deployment is called; nil makes it of the targets' content.
    package var id: String?
    /// Why it is made, where somebody said it.
    package var message: String?
    /// The transaction's name on every server; never used twice.
    package var transaction = Deployer.newTransaction()
    /// How often a commit whose answer was lost is asked for again.
    package var commitAttempts = 5
    /// Between those, and between signs of life to servers that are ready and wait for others.
    package var pause: Duration = .seconds(1)
    /// Takes what a server says that it does while it prepares, where that takes long: the server's name and the words.
    package var progress: (@Sendable (String, String) -> Void)?

    package init() {}
  }

  let targets: [Target]
  private let sources: [String: [UInt8]]
  let options: Options
  /// The network's other servers, whose serials count.
  let witnesses: [any DeploymentPeer]

  /// - Parameters:
  ///   - sources: the sources that the manifests name, by digest.
  ///   - witnesses: the network's servers that are not deployed to. Those that answer are asked for the highest serial
  ///     that they have seen.
  package init(
    targets: [Target], sources: [String: [UInt8]], witnesses: [any DeploymentPeer] = [],
    options: Options = Options()
  ) {
    self.targets = targets
    self.sources = sources
    self.witnesses = witnesses
    self.options = options
  }

  package static func newTransaction() -> String {
    String(UInt64.random(in: .min ... .max), radix: 16) + String(UInt64.random(in: .min ... .max), radix: 16)
  }

  /// Plans and, unless it is a dry run, deploys. Cancelling the task before the first commit leaves every server
  /// as it was.
  package func run() async -> DeploymentReport {
    var steps = await plan()
    guard options.mode != .compare, options.mode == .rehearse || !steps.contains(where: \.hasFailed) else {
      return report(steps)
    }
    guard steps.contains(where: \.isPending), !Task.isCancelled else { return report(steps) }

    await sign(&steps)
    await begin(&steps)
    // A rehearsal finds what is wrong on every server.
    if options.mode == .rehearse || !steps.contains(where: \.hasFailed) { await prepare(&steps) }
    guard options.mode == .apply, !steps.contains(where: \.hasFailed), !Task.isCancelled else {
      let begun = steps
      // Undone also when the task itself was cancelled, whose calls end at once.
      await Task { await abort(begun) }.value
      return report(steps)
    }
    let prepared = steps
    // From the first commit on there is no way back, only forward.
    return report(await Task { await commit(prepared) }.value)
  }

  // MARK: The state of one server

  struct Step: Sendable {
    var target: Target
    /// What the server has and what it said of itself, once it was asked.
    var found: (status: DeploymentStatus, catalogue: ServerCatalogue, key: PublicKey?)?
    var outcome: DeploymentReport.Outcome
    var plan: Plan?
    /// What the server is to be, signed for it; nil where nothing is to be deployed to it.
    var signed: SignedStatement?
    var wanted: [String] = []
    var hasBegun = false
    var sentSources = 0
    var sentBytes = 0
    var loadFailures: [LoadFailure] = []

    /// To be deployed to, and nothing wrong so far.
    var isPending: Bool { outcome == .planned }

    var hasFailed: Bool {
      switch outcome {
      case .missed, .refused, .unconfirmed: true
      case .upToDate, .deployed, .planned, .leftAlone: false
      }
    }

    mutating func fail(_ error: RPCError) {
      switch error.exception {
      // Somebody interrupted the run: nothing is wrong with the server.
      case .cancelled where Task.isCancelled: outcome = .leftAlone
      case .unavailable, .deadlineExceeded, .cancelled: outcome = .missed(error.beside(target.server))
      default: outcome = .refused(error.beside(target.server))
      }
    }
  }

  /// Does something for every step that `isWanted`, on all servers at once.
  private func onAll(
    _ steps: [Step], where isWanted: (Step) -> Bool = { $0.isPending },
    _ body: @escaping @Sendable (inout Step) async throws(RPCError) -> Void
  ) async -> [Step] {
    await withTaskGroup(of: (Int, Step).self) { group in
      var results = steps
      for (index, step) in steps.enumerated() where isWanted(step) {
        group.addTask {
          var step = step
          do throws(RPCError) {
            try await body(&step)
          } catch {
            step.fail(error)
          }
          return (index, step)
        }
      }
      for await (index, step) in group { results[index] = step }
      return results
    }
  }

  // MARK: Before anything changes

  private func plan() async -> [Step] {
    let steps = targets.map { Step(target: $0, outcome: .planned) }
    let force = options.force
    let asked = await onAll(steps) { step throws(RPCError) in
      let status = try await step.target.peer.status()
      step.found = (status, try await step.target.peer.catalogue(), await step.target.peer.provenKey())
    }
    let keys = Self.provenKeys(asked)
    return await onAll(asked) { step throws(RPCError) in
      guard let found = step.found else { return }
      step.target.content = step.target.content.with(proven: keys)
      let plan = Plan(desired: step.target.content, actual: found.catalogue, status: found.status)
      step.plan = plan
      if plan.isUpToDate, !force { step.outcome = .upToDate }
    }
  }

  /// What the servers have proven: each just now, or where it is not asked what the others knew of it.
  private static func provenKeys(_ steps: [Step]) -> [UTF8Key: PublicKey] {
    var keys: [UTF8Key: PublicKey] = [:]
    // The newest generation knows best.
    for step in steps.sorted(by: { ($0.found?.status.generation ?? 0) < ($1.found?.status.generation ?? 0) })
    {
      for known in step.found?.status.serverKeys ?? [] {
        if let key = try? PublicKey(parsing: known.key) { keys[UTF8Key(known.server)] = key }
      }
    }
    for step in steps {
      if let key = step.found?.key { keys[UTF8Key(step.target.server.name)] = key }
    }
    return keys
  }

  // MARK: Phase one

  private func request(
    _ target: Target, _ signed: SignedStatement, base: DeploymentBase, force: Bool
  ) -> DeployBegin {
    DeployBegin(
      transaction: options.transaction, who: options.who, base: base, force: force, content: target.content,
      signed: signed)
  }

  /// Takes the locks one after the other in the order of the names, so that of two deployments at once one
  /// gets through.
  private func begin(_ steps: inout [Step]) async {
    let order = steps.indices.sorted { steps[$0].target.server.name < steps[$1].target.server.name }
    for index in order where steps[index].isPending {
      let target = steps[index].target
      guard let signed = steps[index].signed else { continue }
      // A rehearsal ends nobody's deployment.
      let request = request(
        target, signed, base: steps[index].plan?.base ?? DeploymentBase(),
        force: options.force && options.mode == .apply)
      do throws(RPCError) {
        // Also where the answer is lost the lock may be taken.
        steps[index].hasBegun = true
        steps[index].wanted = try await target.peer.begin(request)
      } catch {
        steps[index].fail(error)
        if options.mode == .apply { return }
      }
    }
  }

  private func prepare(_ steps: inout [Step]) async {
    let transaction = options.transaction
    let ready = ReadyPeers()
    // Servers that are ready wait for those that are not; a sign of life keeps their locks.
    let heartbeat = Task {
      while !Task.isCancelled {
        try? await Task.sleep(for: options.pause)
        for peer in await ready.peers where !Task.isCancelled { _ = try? await peer.prepare(transaction) }
      }
    }
    steps = await onAll(steps) { step throws(RPCError) in
      try await prepare(&step)
      if step.isPending { await ready.add(step.target.peer) }
    }
    heartbeat.cancel()
    await heartbeat.value
  }

  /// Sends one server what it lacks, and has it loaded there.
  private func prepare(_ step: inout Step) async throws(RPCError) {
    for digest in step.wanted {
      guard let bytes = sources[digest] else {
        throw RPCError(
          .failedPrecondition, "the server wants a source \(digest) that the file does not name")
      }
      try await Self.send(bytes, digest: digest, to: step.target.peer, options.transaction)
      step.sentSources += 1
      step.sentBytes += bytes.count
    }
    step.loadFailures = try await load(step.target)
    guard !step.loadFailures.isEmpty else { return }
    let count = Set(step.loadFailures.map(\.digest)).subtracting(Self.requirements(of: step.target)).count
    throw RPCError(
      .failedPrecondition,
      count == 0
        ? "packages cannot be installed"
        : count == 1 ? "a source cannot be loaded" : "\(count) sources cannot be loaded")
  }

  private static func requirements(of target: Target) -> Set<String> {
    Set(target.content.manifest.procedures.compactMap(\.confinement.provision.requirements))
  }

  /// Has a server load what it has, and passes on what it says meanwhile.
  private func load(_ target: Target) async throws(RPCError) -> [LoadFailure] {
    let installs = !Self.requirements(of: target).isEmpty
    let (options, peer, name) = (options, target.peer, target.server.name)
    let listener = Task {
      var said: String?
      while installs, !Task.isCancelled {
        try? await Task.sleep(for: min(options.pause, .milliseconds(500)))
        guard !Task.isCancelled, let text = try? await peer.status().progress, text != said else { continue }
        said = text
        options.progress?(name, text)
      }
    }
    defer { listener.cancel() }
    return try await peer.prepare(options.transaction, installs: installs)
  }

  /// Sends one source in chunks, from where the server has it.
  private static func send(
    _ bytes: [UInt8], digest: String, to peer: any DeploymentPeer, _ transaction: String
  ) async throws(RPCError) {
    var offset = 0
    // An empty source is one empty chunk.
    repeat {
      let end = min(bytes.count, offset + DeploymentLimits.chunkBytesMax)
      let received = try await peer.put(
        DeployPut(
          transaction: transaction, digest: digest, offset: offset, data: Array(bytes[offset..<end]),
          last: end == bytes.count))
      guard received > offset || bytes.isEmpty, received <= bytes.count else {
        throw RPCError(
          .protocolError, "the server has \(received) bytes of a source after \(end) were sent",
          executed: .yes)
      }
      offset = received
    } while offset < bytes.count
  }

  private func abort(_ steps: [Step]) async {
    let transaction = options.transaction
    _ = await onAll(steps, where: { $0.hasBegun }) { step throws(RPCError) in
      // One that cannot be told forgets by itself when its lease runs out.
      try? await step.target.peer.abort(transaction)
    }
  }

  // MARK: Phase two

  private func commit(_ steps: [Step]) async -> [Step] {
    let options = options
    return await onAll(steps) { step in
      var attempt = 1
      while true {
        do throws(RPCError) {
          step.outcome = .deployed(generation: try await step.target.peer.commit(options.transaction))
          return
        } catch {
          // The server may have switched or not, or its disk failed for a moment; asking again does no harm and tells.
          let mayPass: Set<RPCError.Exception> = [.unavailable, .deadlineExceeded, .failedPrecondition]
          guard mayPass.contains(error.exception), attempt < options.commitAttempts else {
            step.outcome = .unconfirmed(error.beside(step.target.server))
            return
          }
          attempt += 1
          try? await Task.sleep(for: options.pause)
          await prepareAgain(&step)
        }
      }
    }
  }

  /// Readies a server for a commit that was lost: where the connection ended, so did the deployment there, and the
  /// server has all of its sources. Where it cannot be readied the commit says why.
  private func prepareAgain(_ step: inout Step) async {
    let peer = step.target.peer
    guard let status = try? await peer.status(), let base = step.plan?.base, let signed = step.signed,
      base == DeploymentBase(manifest: status.digest, topology: status.topologyDigest ?? ""),
      status.preparedTransaction != options.transaction
    else { return }
    let request = request(step.target, signed, base: base, force: false)
    guard let wanted = try? await peer.begin(request) else { return }
    step.wanted = wanted
    try? await prepare(&step)
  }

  // MARK: The end

  private func report(_ steps: [Step]) -> DeploymentReport {
    var report = DeploymentReport(
      servers: steps.map { step in
        var outcome = step.outcome
        if outcome == .planned, options.mode == .apply { outcome = .leftAlone }
        return DeploymentReport.Server(
          server: step.target.server, outcome: outcome, plan: step.plan, sentSources: step.sentSources,
          sentBytes: step.sentBytes, loadFailures: step.loadFailures)
      })
    report.deployment = steps.lazy.compactMap { $0.signed?.origin }.first
    return report
  }
}

/// The servers that are prepared and wait.
private actor ReadyPeers {
  private(set) var peers: [any DeploymentPeer] = []

  func add(_ peer: any DeploymentPeer) { peers.append(peer) }
}
