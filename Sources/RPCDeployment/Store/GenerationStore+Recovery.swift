package import RPCKeys
internal import RPCNetwork

extension GenerationStore {
  static let directories = ["objects", "gen", "topologies", "incoming"]

  /// Finds the generation to serve: the current one, or where that is damaged, was changed or cannot be read the newest
  /// one before it that is whole. Removes what an interrupted deployment left. Never fails: what is wrong is what
  /// `degraded` says.
  ///
  /// - Parameter key: this server's own, with which it signed what it accepted.
  package func recover(as key: PrivateKey) {
    ownKey = key
    var problem: String?
    func note(_ text: String) { problem = problem ?? text }
    func attempt(_ body: () throws(DeploymentError) -> Void) {
      do throws(DeploymentError) {
        try body()
      } catch {
        note(error.message)
      }
    }
    for name in Self.directories {
      attempt { () throws(DeploymentError) in try disk.makeDirectory(name) }
    }
    attempt { () throws(DeploymentError) in try emptyIncoming() }
    attempt { () throws(DeploymentError) in try readFence() }
    var linked: Int?
    attempt { () throws(DeploymentError) in linked = try serial(ofLink: "current") }
    attempt { () throws(DeploymentError) in try readIndex() }
    // The list has it too, where it could be read.
    let before = try? serial(ofLink: "previous")
    let serials = Set(index.keys).union([before].compactMap(\.self)).sorted(by: >)
    lastSerial = max(linked ?? 0, serials.first ?? 0)
    if linked == nil, lastSerial > 0 { note("the link 'current' is missing") }
    attempt { () throws(DeploymentError) in try checkFenceIsThere() }
    // What is numbered above the link was not in force: the server ended before that.
    if index.contains(where: { $0.key <= linked ?? .max && $0.value.deployment != nil }) {
      refusesUnsigned = true
    }

    if let last = fencedGeneration, last > linked ?? 0 {
      if let linked {
        note("the link 'current' leads to generation \(linked), but \(last) was in force last")
      }
      linked = last
    }
    for serial in [linked].compactMap(\.self) + serials.filter({ $0 < linked ?? .max }) {
      do throws(DeploymentError) {
        let (generation, embedded) = try readGeneration(serial)
        try checkIsSigned(generation.record)
        recoveredSources = try sources(of: generation.manifest)
        current = generation
        recoverTopology(embedded, removingUncommitted: serial == linked, note: note)
        checkFence(note)
        degraded = problem.map { "\($0); serving generation \(serial)" }
        previousSerial = before.flatMap { $0 < serial ? $0 : nil }
        if serial == linked { removeUncommitted(above: serial) }
        completeFence()
        return
      } catch {
        note("generation \(serial) \(error.kind == .io ? "cannot be read" : "is damaged"): \(error)")
      }
    }
    checkFence(note)
    degraded = problem.map { lastSerial == 0 ? $0 : "\($0); no generation is whole, deploy again" }
  }

  private func emptyIncoming() throws(DeploymentError) {
    for name in try disk.list("incoming") { try disk.remove("incoming/\(name)") }
  }

  /// Removes what was put in place for a switch that a crash prevented. What cannot be removed now is removed when
  /// its number is used.
  private func removeUncommitted(above current: Int) {
    for serial in index.keys where serial > current {
      try? disk.remove(path(of: serial))
      index[serial] = nil
    }
    lastSerial = current
  }

  /// The serial that a link such as `current` points at, nil where there is none.
  private func serial(ofLink name: String) throws(DeploymentError) -> Int? {
    try serial(ofLink: name, in: "gen", "generation")
  }

  func serial(
    ofLink name: String, in directory: String, _ what: String
  ) throws(DeploymentError) -> Int? {
    guard let target = try disk.link(name) else { return nil }
    let start = "\(directory)/"
    guard target.hasPrefix(start), let serial = Self.serial(String(target.dropFirst(start.count))) else {
      throw DeploymentError(
        .damaged, "the link '\(name)' leads to '\(target.prefix(64))', which is not a \(what)")
    }
    return serial
  }

  /// The number that a directory in `gen` is named by, nil where the name is none that a store gives.
  static func serial(_ name: String) -> Int? {
    guard let serial = Int(name), (1...DeploymentLimits.serialMax).contains(serial), name == "\(serial)"
    else {
      return nil
    }
    return serial
  }

  /// Reads what each generation on disk needs.
  ///
  /// - Throws: where a read fails. A generation that is damaged needs nothing: it cannot be gone back to.
  func readIndex() throws(DeploymentError) {
    indexIsComplete = false
    var found: [Int: Needs] = [:]
    for serial in try disk.list("gen").compactMap(Self.serial) {
      found[serial] = Needs()
      index[serial] = index[serial] ?? Needs()
      do throws(DeploymentError) {
        let generation = try readGeneration(serial).generation
        let deployment = generation.record.signed?.origin.serial
        found[serial] = Needs(
          sources: Set(generation.manifest.sourceDigests), topology: generation.record.topology,
          deployment: deployment)
        highestRecorded = max(highestRecorded, deployment ?? 0)
      } catch {
        if error.kind == .io { throw error }
      }
    }
    index = found
    indexIsComplete = true
  }

  /// A generation, and the topology in its manifest where version 1.0 wrote it.
  func readGeneration(
    _ serial: Int
  ) throws(DeploymentError) -> (generation: Generation, topology: Topology?) {
    let (bytes, record) = try readRecorded(
      path(of: serial), "manifest", .generation, serial, limit: DeploymentLimits.manifestBytesMax)
    let (manifest, topology) = try Manifest.stored(bytes)
    return (
      Generation(serial: serial, manifest: manifest, digest: record.digest, record: record), topology
    )
  }

  /// A document with the record beside it, which has its digest.
  func readRecorded(
    _ path: String, _ name: String, _ kind: SealedText.Kind, _ number: Int, limit: Int
  ) throws(DeploymentError) -> ([UInt8], DeploymentRecord) {
    guard let bytes = try disk.read("\(path)/\(name)", limit: limit),
      let recorded = try disk.read(path + "/record", limit: DeploymentLimits.recordBytesMax)
    else { throw DeploymentError(.damaged, "its files are missing") }
    guard let text = String(validating: recorded, as: UTF8.self) else {
      throw DeploymentError(.damaged, "its record is not readable")
    }
    let key = knownKey.publicKey
    let accepted = try SealedText.open(text, kind, number: number, of: key)
    let record = try DeploymentRecord(text: accepted ?? text)
    guard (accepted == nil) == (record.signed == nil) else {
      throw DeploymentError(.damaged, "this server has not accepted it")
    }
    guard ContentDigest.hex(of: bytes) == record.digest else {
      throw DeploymentError(.damaged, "its \(name) was changed")
    }
    if let statement = record.signed?.statement {
      let signed = kind == .generation ? statement.manifest : statement.topology
      guard signed == record.digest, statement.serverKey == key else {
        throw DeploymentError(.damaged, "it is signed for something else")
      }
    }
    return (bytes, record)
  }

  func path(of serial: Int) -> String { "gen/\(serial)" }
  func topologyPath(of serial: Int) -> String { "topologies/\(serial)" }

  // MARK: Collecting garbage

  /// Removes generations beyond those that are kept, then the sources that none of the kept ones names. Runs
  /// when nothing is staged.
  ///
  /// It goes by what is in memory. After any failed call of the disk it removes nothing at all, and the next time
  /// nothing before everything has been read again without a failure. What cannot be removed stays for then.
  func collectGarbage() {
    guard !disk.hasFailed else {
      disk.hasFailed = false
      indexIsComplete = false
      return
    }
    do throws(DeploymentError) {
      if !indexIsComplete { try readIndex() }
      var kept = Set(index.keys.sorted().suffix(DeploymentLimits.generationsKept))
      kept.formUnion([current?.serial, previousSerial, openSwitch?.serial].compactMap { $0 })
      for serial in index.keys.sorted() where !kept.contains(serial) {
        try disk.remove(path(of: serial))
        index[serial] = nil
      }
      try collectTopologies()
      var needed = Set(current?.manifest.sourceDigests ?? [])
      for needs in index.values { needed.formUnion(needs.sources) }
      for prefix in try disk.list("objects") where prefix.utf8.count == 2 {
        for name in try disk.list("objects/\(prefix)") where !needed.contains(prefix + name) {
          try disk.remove("objects/\(prefix)/\(name)")
        }
      }
    } catch {
      // Told by `hasFailed`, or damage that the next deployment sets aside.
    }
  }

  /// Removes topologies beyond those that are kept: the newest ones, the one in force, and those of generations.
  private func collectTopologies() throws(DeploymentError) {
    let numbers = try disk.list("topologies").compactMap(Self.serial).sorted()
    var kept = Set(numbers.suffix(DeploymentLimits.generationsKept))
    kept.formUnion(index.values.compactMap(\.topology))
    kept.formUnion([topology?.serial, openSwitch?.topology].compactMap { $0 })
    for number in numbers where !kept.contains(number) { try disk.remove(topologyPath(of: number)) }
  }
}
