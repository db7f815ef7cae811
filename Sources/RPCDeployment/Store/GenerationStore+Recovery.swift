extension GenerationStore {
  static let directories = ["objects", "gen", "incoming"]

  /// Finds the generation to serve: the current one, or where that is damaged or cannot be read the newest one
  /// before it that is whole. Never fails: what is wrong is what `degraded` says.
  func recover() {
    var problem: String?
    func attempt(_ body: () throws(DeploymentError) -> Void) {
      do throws(DeploymentError) {
        try body()
      } catch {
        problem = problem ?? error.message
      }
    }
    for name in Self.directories {
      attempt { () throws(DeploymentError) in try disk.makeDirectory(name) }
    }
    attempt { () throws(DeploymentError) in try emptyIncoming() }
    var linked: Int?
    attempt { () throws(DeploymentError) in linked = try serial(ofLink: "current") }
    attempt { () throws(DeploymentError) in try readIndex() }
    let serials = index.keys.sorted(by: >)
    lastSerial = max(linked ?? 0, serials.first ?? 0)
    // Only to look there first: the list has it too.
    let before = try? serial(ofLink: "previous")
    if linked == nil, lastSerial > 0 { problem = problem ?? "the link 'current' is missing" }

    let others = serials.filter { $0 != linked && $0 != before && $0 < linked ?? .max }
    for serial in [linked, before].compactMap({ $0 }) + others {
      do throws(DeploymentError) {
        let generation = try readGeneration(serial)
        recoveredSources = try sources(of: generation.manifest)
        current = generation
        degraded = problem.map { "\($0); serving generation \(serial)" }
        previousSerial = before.flatMap { $0 < serial ? $0 : nil }
        if serial == linked { removeUncommitted(above: serial) }
        return
      } catch {
        problem =
          problem ?? "generation \(serial) \(error.kind == .io ? "cannot be read" : "is damaged"): \(error)"
      }
    }
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
    guard let target = try disk.link(name) else { return nil }
    guard target.hasPrefix("gen/"), let serial = Self.serial(String(target.dropFirst(4))) else {
      throw DeploymentError(
        .damaged, "the link '\(name)' leads to '\(target.prefix(64))', which is not a generation")
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
    var found: [Int: Set<String>] = [:]
    for serial in try disk.list("gen").compactMap(Self.serial) {
      found[serial] = []
      index[serial] = index[serial] ?? []
      do throws(DeploymentError) {
        found[serial] = Set(try readGeneration(serial).manifest.sourceDigests)
      } catch {
        if error.kind == .io { throw error }
      }
    }
    index = found
    indexIsComplete = true
  }

  func readGeneration(_ serial: Int) throws(DeploymentError) -> Generation {
    let path = path(of: serial)
    guard let bytes = try disk.read(path + "/manifest", limit: DeploymentLimits.manifestBytesMax),
      let text = try disk.read(path + "/record", limit: DeploymentLimits.recordBytesMax)
    else { throw DeploymentError(.damaged, "its files are missing") }
    guard let stored = DeploymentRecord(text: String(decoding: text, as: UTF8.self)) else {
      throw DeploymentError(.damaged, "its record is not readable")
    }
    let manifest = try Manifest(decoding: bytes)
    let digest = ContentDigest.hex(of: bytes)
    guard digest == stored.digest else { throw DeploymentError(.damaged, "its manifest was changed") }
    return Generation(serial: serial, manifest: manifest, digest: digest, record: stored)
  }

  func path(of serial: Int) -> String { "gen/\(serial)" }

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
      var needed = Set(current?.manifest.sourceDigests ?? [])
      for digests in index.values { needed.formUnion(digests) }
      for prefix in try disk.list("objects") where prefix.utf8.count == 2 {
        for name in try disk.list("objects/\(prefix)") where !needed.contains(prefix + name) {
          try disk.remove("objects/\(prefix)/\(name)")
        }
      }
    } catch {
      // Told by `hasFailed`, or damage that the next deployment sets aside.
    }
  }
}
