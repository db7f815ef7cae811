internal import RPCKeys
internal import RPCNetwork
internal import RPCWire

extension GenerationStore {
  /// Finds the topology in force: the one that the generation came with, or a later one that was put in force by
  /// itself; where that is damaged, the newest one before it that is whole.
  ///
  /// - Parameters:
  ///   - embedded: the one in the generation's manifest, where version 1.0 wrote it.
  ///   - removingUncommitted: whether what has a higher number was never in force.
  ///   - note: takes what is wrong.
  func recoverTopology(
    _ embedded: Topology?, removingUncommitted: Bool, note: (String) -> Void
  ) {
    guard let current else { return }
    var linked: Int?
    var numbers: [Int] = []
    do throws(DeploymentError) {
      linked = try serial(ofLink: "topology", in: "topologies", "topology")
    } catch { note(error.message) }
    do throws(DeploymentError) {
      numbers = try disk.list("topologies").compactMap(Self.serial).sorted(by: >)
    } catch { note(error.message) }
    var wanted = max(current.record.topology ?? 0, linked ?? 0)
    lastTopology = max(wanted, numbers.first ?? 0)
    if let last = fencedTopology(among: numbers.filter { $0 > wanted }, note: note) {
      note("topology \(last) was in force last, and the link 'topology' does not lead there")
      wanted = last
    }
    if removingUncommitted {
      for number in numbers where number > wanted { try? disk.remove(topologyPath(of: number)) }
    }
    for number in (wanted > 0 ? [wanted] : []) + numbers.filter({ $0 < wanted }) {
      do throws(DeploymentError) {
        let stored = try readTopology(number)
        try checkIsSigned(stored.record)
        if number == wanted { try check(stored, belongsTo: current) }
        topology = stored
        return
      } catch {
        note("topology \(number) \(error.kind == .io ? "cannot be read" : "is damaged"): \(error)")
      }
    }
    guard let embedded else { return }
    topology = StoredTopology(
      serial: 0, topology: embedded.members, digest: embedded.digest, record: current.record)
  }

  private func readTopology(_ number: Int) throws(DeploymentError) -> StoredTopology {
    let (bytes, record) = try readRecorded(
      topologyPath(of: number), "topology", .topology, number, limit: DeploymentLimits.topologyBytesMax)
    return StoredTopology(
      serial: number, topology: try Topology(decoding: bytes), digest: record.digest, record: record)
  }

  /// Whether the deployers' signatures say that the two are in force together.
  private func check(_ topology: StoredTopology, belongsTo generation: Generation) throws(DeploymentError) {
    guard let signed = generation.record.signed?.statement else { return }
    let cameWithIt = topology.serial == generation.record.topology && signed.topology == topology.digest
    guard cameWithIt || topology.record.signed?.statement.manifest == generation.digest else {
      throw DeploymentError(.damaged, "it is signed for another generation")
    }
  }

  // MARK: What was in force last

  /// Reads the fence.
  ///
  /// - Throws: where it cannot be read or was changed. Then too nothing is served that is not signed.
  func readFence() throws(DeploymentError) {
    let bytes: [UInt8]?
    do throws(DeploymentError) {
      bytes = try disk.read("fence", limit: DeploymentLimits.recordBytesMax)
    } catch {
      refusesUnsigned = refusesUnsigned || error.kind != .io
      fenceWasRefused = true
      throw error
    }
    guard let bytes else { return }
    var why = "what it says is not readable"
    do throws(DeploymentError) {
      if let text = String(validating: bytes, as: UTF8.self),
        let lines = try SealedText.open(text, .fence, number: 0, of: knownKey.publicKey),
        let found = Fence(text: lines)
      {
        refusesUnsigned = found != .beginning
        return fence = found
      }
    } catch {
      why = error.message
    }
    fenceWasRefused = true
    refusesUnsigned = true
    throw DeploymentError(.damaged, "the number of the last deployment, 'fence', cannot be used: \(why)")
  }

  /// Whether it must have been taken away: it is there before anything that this server accepted.
  private var fenceIsMissing: Bool {
    fence == nil && !fenceWasRefused && index.values.contains { $0.deployment != nil }
  }

  /// - Throws: where it must have been taken away.
  func checkFenceIsThere() throws(DeploymentError) {
    guard fenceIsMissing else { return }
    refusesUnsigned = true
    throw missingFence
  }

  private var missingFence: DeploymentError {
    DeploymentError(.damaged, "the number of the last deployment, 'fence', is missing")
  }

  /// The generation that the fence names, nil where none on disk is of that deployment. Where the fence is lost it is the
  /// one with the highest serial among those that this server accepted.
  var fencedGeneration: Int? {
    var serial = fence?.serial
    if fenceIsMissing || fenceWasRefused { serial = index.values.compactMap(\.deployment).max() }
    guard let serial else { return nil }
    return index.filter { $0.value.deployment == serial }.keys.max()
  }

  /// Of topologies with higher numbers than that of the link the one that the fence names. Where the fence is lost it is
  /// the newest that this server accepted after the generation.
  private func fencedTopology(among numbers: [Int], note: (String) -> Void) -> Int? {
    guard let inForce = current?.record.signed?.origin.serial else { return nil }
    let found = numbers.first { number in
      guard let serial = (try? readTopology(number))?.record.signed?.origin.serial else { return false }
      return fence.map { $0.serial == serial } ?? (serial > inForce)
    }
    if found != nil, fence == nil, !fenceWasRefused { note(missingFence.message) }
    return found
  }

  /// Raises the fence where the server ended before its first deployment had done that.
  func completeFence() {
    guard fence == .beginning, degraded == nil, let origin = inForce?.origin else { return }
    try? write(Fence(serial: origin.serial, id: origin.id))
  }

  /// Has a fence before the first thing that this server accepts: without one what it accepted was led back.
  func beginFence() throws(DeploymentError) {
    if fence == nil, !fenceWasRefused { try write(.beginning) }
  }

  /// Notes where what was found is older than what was in force last.
  func checkFence(_ note: (String) -> Void) {
    guard let fence, (inForce?.origin.serial ?? 0) < fence.serial else { return }
    note("deployment \(fence.id) with the serial \(fence.serial) was in force last, and is not here whole")
  }

  /// - Throws: where what is not signed is not served any more.
  func checkIsSigned(_ record: DeploymentRecord) throws(DeploymentError) {
    guard record.signed == nil, refusesUnsigned else { return }
    throw DeploymentError(.damaged, "it is not signed, and signed deployments were here before")
  }

  /// Notes which deployment is in force now. It is in force whatever becomes of the note.
  func raiseFence(to signed: SignedStatement) {
    refusesUnsigned = true
    let origin = signed.origin
    let new = Fence(serial: origin.serial, id: origin.id)
    fence = new
    do throws(DeploymentError) {
      try write(new)
    } catch {
      degrade("deployment \(origin.id) is in force, but its serial could not be noted: \(error)")
    }
  }

  private func write(_ new: Fence) throws(DeploymentError) {
    let text = SealedText.seal(new.text, .fence, number: 0, by: knownKey)
    try disk.replace("fence", with: Array(text.utf8))
    fence = new
    fenceWasRefused = false
  }
}
