package import RPCKeys
internal import RPCNetwork
internal import RPCWire

/// A server's side of a deployment: one at a time, each step repeatable with the same answer, nothing in
/// force before the commit.
///
/// The procedures `system.deploy_*` call it one to one; between `startLoading` and `finishLoading` the server
/// loads the procedures in its runtimes. It blocks on the disk and is used from the server's deployment thread.
/// `now` is any monotonic clock in nanoseconds.
package final class Staging {
  package let store: GenerationStore
  private var transaction: DeploymentTransaction?
  /// How many deployments were begun: tells whether the one that is open is the one that was.
  package private(set) var begun = 0
  private let wallClock: () -> Int

  /// - Parameter wallClock: milliseconds since 1970, for records that people read.
  package init(store: GenerationStore, wallClock: @escaping () -> Int) {
    self.store = store
    self.wallClock = wallClock
  }

  // MARK: The steps of a deployment

  /// Takes the lock and tells which sources are not here. Nothing is staged where it throws.
  ///
  /// - Parameter caller: the key that the sender of the request has proven.
  /// - Parameter connection: by which the request came. The deployment ends with it.
  package func begin(
    _ request: DeployBegin, from caller: PublicKey?, connection: ObjectIdentifier? = nil, now: UInt64
  ) throws(DeploymentError) -> [String] {
    let id = request.transaction
    guard Self.isValidTransaction(id) else {
      throw DeploymentError(
        .malformed,
        "a transaction is named by 1 to \(DeploymentLimits.transactionBytesMax) letters, digits, '-' and '_'")
    }
    expire(now: now)
    let who = String(DeploymentRecord.oneLine(request.who).prefix(DeploymentLimits.whoBytesMax))
    let (signed, content) = try admit(request, from: caller, who)
    if request.force, let open = transaction, open.id != id { abort(open.id, reason: "broken by \(who)") }
    if var open = transaction {
      guard open.id.hasSameUTF8(as: id) else { throw Self.locked(by: open, now: now) }
      guard open.content == content, open.signed == signed else {
        throw DeploymentError(
          .outOfOrder,
          "this deployment is open here for server '\(open.content.manifest.server)': do two servers have one "
            + "address?")
      }
      open.renew(at: now)
      open.connection = connection
      transaction = open
      return open.missing
    }
    let inForce = DeploymentBase(
      manifest: store.current?.digest ?? "", topology: store.topology?.digest ?? "")
    guard request.force || request.base == inForce else { throw Self.stale(request.base, inForce) }
    // A generation that is not signed is replaced by one that is, whatever it holds.
    let isTopologyOnly =
      !request.force && store.degraded == nil && content.manifest.digest == inForce.manifest
      && store.inForce != nil
    let wanted = isTopologyOnly ? [] : content.manifest.sourceDigests.filter { !store.holds($0) }
    try store.openStaging(id)
    begun += 1
    transaction = DeploymentTransaction(
      id: id, who: who, connection: connection, content: content, signed: signed,
      isTopologyOnly: isTopologyOnly, wanted: wanted, now: now)
    return wanted
  }

  /// Decides whether a deployment is one for this server, and a new one. A refusal stands in the audit log.
  private func admit(
    _ request: DeployBegin, from caller: PublicKey?, _ who: String
  ) throws(DeploymentError) -> (SignedStatement, DeploymentContent) {
    do throws(DeploymentError) {
      let admission = Admission(
        server: store.knownKey.publicKey, caller: caller, network: store.inForce?.origin.network,
        highest: store.highestSerial)
      let signed = try admission.admit(request)
      if isCommitted(request.transaction) {
        throw DeploymentError(.outOfOrder, "the transaction '\(request.transaction)' is committed already")
      }
      try admission.checkSerial(signed)
      let content = try DeploymentContent(manifest: request.manifest, topology: request.topology)
      guard content.manifest.server.hasSameUTF8(as: signed.statement.server) else {
        throw DeploymentError(
          .misdirected,
          "the manifest is for the server '\(content.manifest.server)', and signed for "
            + "'\(signed.statement.server)'")
      }
      return (signed, content)
    } catch {
      store.audit(
        "\(wallClock()) refuse transaction=\(request.transaction) who=\(who) reason=\(error.message)")
      throw error
    }
  }

  /// Takes a part of a source and tells how many bytes of it are here: where the sender goes on.
  package func put(
    _ id: String, digest: String, offset: Int, bytes: [UInt8], last: Bool,
    connection: ObjectIdentifier? = nil, now: UInt64
  ) throws(DeploymentError) -> Int {
    var open = try live(id, connection: connection, now: now)
    defer { transaction = open }
    if try open.decide(digest: digest, offset: offset, count: bytes.count) == .write {
      try store.stage(bytes, of: digest, at: offset, in: id)
      open.wrote(bytes.count, of: digest)
      if last {
        let whole = try store.staged(digest, in: id) ?? []
        guard ContentDigest.hex(of: whole) == digest else {
          open.rejected(digest)
          throw DeploymentError(
            .malformed, "\(whole.count) bytes arrived for \(digest), but that is not their digest")
        }
        open.completed(digest)
      }
    }
    return open.bytesReceived(of: digest)
  }

  /// What the server has to load in its runtimes, or nil where that is done already.
  ///
  /// The lock is held longer from here, since loading takes what it takes; end it with `finishLoading`.
  package func startLoading(
    _ id: String, connection: ObjectIdentifier? = nil, now: UInt64
  ) throws(DeploymentError) -> LoadingWork? {
    var open = try live(id, connection: connection, now: now)
    if open.phase == .prepared { return nil }
    try open.startLoading(at: now)
    if open.isTopologyOnly {
      transaction = open
      try finishLoading(id, succeeded: true, now: now)
      return nil
    }
    var sources: [String: [UInt8]] = [:]
    for digest in open.content.manifest.sourceDigests {
      if open.wanted.contains(digest), let staged = try store.staged(digest, in: id) {
        sources[digest] = staged
      } else {
        sources[digest] = try store.source(digest)
      }
    }
    transaction = open
    return LoadingWork(manifest: open.content.manifest, sources: sources)
  }

  /// The server is still loading, however long that takes.
  package func keepAlive(_ id: String, now: UInt64) {
    guard transaction?.id.hasSameUTF8(as: id) == true else { return }
    transaction?.renew(at: now)
  }

  /// The procedures are loaded, or could not be. Makes the generation durable, so that a commit needs nothing
  /// more than a rename.
  package func finishLoading(_ id: String, succeeded: Bool, now: UInt64) throws(DeploymentError) {
    var open = try live(id, now: now)
    guard open.phase != .prepared else { return }
    guard open.phase == .loading else {
      throw DeploymentError(.outOfOrder, "the transaction '\(id)' is not being prepared")
    }
    guard succeeded else {
      open.loadFailed(at: now)
      transaction = open
      return
    }
    let prepared = prepare(open)
    do throws(DeploymentError) {
      try store.persist(prepared, staged: open.wanted, in: id)
    } catch {
      abort(id, reason: "cannot prepare: \(error)")
      throw error
    }
    open.persisted(prepared, at: now)
    transaction = open
  }

  /// What is to be written of a deployment whose procedures are loaded.
  private func prepare(_ open: DeploymentTransaction) -> PreparedDeployment {
    let now = wallClock()
    func record(_ digest: String, parent: Int?, topology: Int? = nil) -> DeploymentRecord {
      DeploymentRecord(
        transaction: open.id, who: open.who, preparedMilliseconds: now, digest: digest, parent: parent,
        topology: topology, signed: open.signed)
    }
    var prepared = PreparedDeployment()
    let inForce = store.topology
    var number = inForce?.serial ?? 0
    // A damaged store gets a number above everything that its links may lead to.
    if number == 0 || store.degraded != nil || open.isTopologyOnly || inForce?.digest != open.topologyDigest
      || inForce?.record.signed == nil
    {
      number = store.nextTopology
      prepared.topology = StoredTopology(
        serial: number, topology: open.content.topology, digest: open.topologyDigest,
        record: record(open.topologyDigest, parent: inForce?.serial))
    }
    if !open.isTopologyOnly {
      prepared.generation = PreparedDeployment.NewGeneration(
        manifest: open.content.manifest,
        record: record(open.digest, parent: store.current?.serial, topology: number))
    }
    return prepared
  }

  /// Puts the prepared generation in force and returns it. Repeating it is harmless, also after a restart. Where
  /// it throws, what was in force is in force still.
  package func commit(
    _ id: String, connection: ObjectIdentifier? = nil, now: UInt64
  ) throws(DeploymentError) -> Generation {
    if let current = store.current, isCommitted(id) { return current }
    let open = try live(id, connection: connection, now: now)
    guard let prepared = open.prepared else {
      throw DeploymentError(.outOfOrder, "the transaction '\(id)' is not prepared")
    }
    guard !open.signed.origin.isRehearsal else {
      throw DeploymentError(.outOfOrder, "the transaction '\(id)' is a dry run: it is never put in force")
    }
    guard let generation = try store.activate(prepared, of: id) else {
      preconditionFailure("a topology is put in force by itself only beside a generation")
    }
    transaction = nil
    store.audit(
      "\(wallClock()) commit generation=\(generation.serial) digest=\(open.digest) "
        + "topology=\(store.topology?.serial ?? 0) topology_digest=\(open.topologyDigest) "
        + "deployment=\(open.signed.origin.id) serial=\(open.signed.origin.serial) transaction=\(id) "
        + "who=\(open.who)")
    // What cannot be removed now is removed after the next deployment.
    try? store.discard(id)
    store.collectGarbage()
    return generation
  }

  /// Ends a deployment that is not committed; one that is not open is none of its business.
  package func abort(_ id: String, reason: String = "aborted") {
    guard let open = transaction, open.id.hasSameUTF8(as: id) else { return }
    transaction = nil
    store.undoSwitch(of: id)
    store.audit("\(wallClock()) abort transaction=\(id) who=\(open.who) reason=\(reason)")
    try? store.discard(id)
    store.collectGarbage()
  }

  /// Who signed the deployment that is open.
  package var openDeployer: PublicKey? { transaction?.signed.origin.deployer }

  /// Ends whatever deployment is open.
  package func abortOpen(reason: String) {
    if let open = transaction { abort(open.id, reason: reason) }
  }

  /// Ends the deployment that came by a connection which is closed: its client is gone.
  package func connectionEnded(_ connection: ObjectIdentifier) {
    guard let open = transaction, open.connection == connection else { return }
    abort(open.id, reason: "its connection ended")
  }

  /// Ends whatever deployment is open; whose it was, nil when there was none.
  package func unlock(by who: String, now: UInt64) -> DeploymentStatus.Lock? {
    expire(now: now)
    guard let open = transaction else { return nil }
    let lock = Self.lock(of: open, now: now)
    abort(open.id, reason: "unlocked by \(who)")
    return lock
  }

  /// Ends a deployment whose lease ran out. Tells when to come back, nil when no deployment is open.
  @discardableResult
  package func expire(now: UInt64) -> UInt64? {
    guard let open = transaction else { return nil }
    guard open.isExpired(at: now) else { return open.expires }
    abort(open.id, reason: "its lease ran out")
    return nil
  }

  /// - Parameter trusts: whether a key may deploy here now.
  package func status(
    now: UInt64, trusts: (PublicKey) -> Bool = { _ in true }
  ) -> DeploymentStatus {
    expire(now: now)
    let current = store.current
    let keys = (store.topology?.topology.servers ?? []).compactMap { server in
      server.proven.map { DeploymentStatus.ServerKey(server: server.name, key: $0.description) }
    }
    return DeploymentStatus(
      generation: current?.serial ?? 0, digest: current?.digest ?? "",
      topology: store.topology?.serial, topologyDigest: store.topology?.digest,
      previous: store.previousSerial,
      preparedTransaction: transaction?.phase == .prepared ? transaction?.id : nil,
      lock: transaction.map { Self.lock(of: $0, now: now) },
      lastDeploymentMilliseconds: [current?.record, store.topology?.record]
        .compactMap { $0?.preparedMilliseconds }.max(),
      degraded: store.degraded, serverKeys: keys.isEmpty ? nil : keys,
      deployment: store.inForce.map {
        DeploymentStatus.Deployment($0.origin, isTrusted: trusts($0.origin.deployer))
      }, highestSerial: store.highestSerial == 0 ? nil : store.highestSerial)
  }

  // MARK: Helpers

  /// Whether a transaction put in force what is in force: then its commit was done, also before a restart.
  private func isCommitted(_ id: String) -> Bool {
    [store.current?.record, store.topology?.record].contains {
      $0?.transaction.hasSameUTF8(as: id) == true
    }
  }

  /// The open transaction of that name, its lease renewed.
  private func live(
    _ id: String, connection: ObjectIdentifier? = nil, now: UInt64
  ) throws(DeploymentError) -> DeploymentTransaction {
    expire(now: now)
    guard var open = transaction, open.id.hasSameUTF8(as: id) else { throw Self.unknown(id) }
    open.renew(at: now)
    if let connection { open.connection = connection }
    transaction = open
    return open
  }

  /// The transaction that is open, nil when there is none.
  package var openTransaction: String? { transaction?.id }

  package static func unknown(_ id: String) -> DeploymentError {
    DeploymentError(
      .unknownTransaction,
      "no deployment '\(id.prefix(64))' is open here: it was ended, or the server was started again")
  }

  private static func isValidTransaction(_ id: String) -> Bool {
    (1...DeploymentLimits.transactionBytesMax).contains(id.utf8.count)
      && id.utf8.allSatisfy { byte in
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
          UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"):
          true
        default: false
        }
      }
  }

  private static func locked(by open: DeploymentTransaction, now: UInt64) -> DeploymentError {
    let seconds = (milliseconds(from: now, to: open.expires) + 999) / 1000
    return DeploymentError(
      .locked,
      "\(open.who) is deploying; the lock ends with that deployment or its connection, or after \(seconds) s of "
        + "silence ('initializer unlock' ends it now)")
  }

  private static func lock(of open: DeploymentTransaction, now: UInt64) -> DeploymentStatus.Lock {
    DeploymentStatus.Lock(who: open.who, remainingMilliseconds: milliseconds(from: now, to: open.expires))
  }

  private static func milliseconds(from now: UInt64, to then: UInt64) -> Int {
    then > now ? Int((then - now) / 1_000_000) : 0
  }

  private static func stale(_ base: DeploymentBase, _ inForce: DeploymentBase) -> DeploymentError {
    func name(_ what: String, _ digest: String) -> String {
      digest.isEmpty ? "no deployment" : "\(what) \(ContentDigest.short(digest))"
    }
    let (planned, now) =
      base.manifest == inForce.manifest
      ? (name("topology", base.topology), name("topology", inForce.topology))
      : (name("manifest", base.manifest), name("manifest", inForce.manifest))
    return DeploymentError(
      .stale, "the plan was made against \(planned), but \(now) is in force now: plan again")
  }
}
