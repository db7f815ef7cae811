extension GenerationStore {
  /// Finds the generation in force: the current one, or where that is damaged the one before it.
  func recover() throws(DeploymentError) {
    for name in try disk.list(directory + "/incoming") { try disk.remove("\(directory)/incoming/\(name)") }

    let serials = try generationSerials()
    let currentSerial = serial(ofLink: "current")
    let previousSerial = serial(ofLink: "previous")
    guard currentSerial != nil || !serials.isEmpty else { return }

    lastSerial = currentSerial ?? serials.last ?? 0
    // A generation above the current one was never committed: it lost the race against the crash.
    if let currentSerial {
      for serial in serials where serial > currentSerial { try disk.remove(path(of: serial)) }
    }
    let known = [currentSerial, previousSerial].compactMap { $0 }
    let others = serials.reversed().filter { serial in
      !known.contains(serial) && serial < currentSerial ?? .max
    }
    var problem: String? = currentSerial == nil ? "the link 'current' is missing" : nil
    for serial in known + others {
      do throws(DeploymentError) {
        let generation = try readGeneration(serial)
        _ = try sources(of: generation.manifest)
        current = generation
        degraded = problem.map { "\($0); serving generation \(serial)" }
        self.previousSerial = [previousSerial].compactMap { $0 }.first { $0 < serial }
        return
      } catch {
        let text = "generation \(serial) is damaged: \(error)"
        problem = problem ?? text
      }
    }
    degraded = problem.map { "\($0); no generation is whole, deploy again" }
  }

  /// The serial that a link such as `current` points at.
  private func serial(ofLink name: String) -> Int? {
    guard let target = disk.link("\(directory)/\(name)"), target.hasPrefix("gen/") else { return nil }
    return Int(target.dropFirst(4))
  }

  /// The serials on disk, ascending.
  func generationSerials() throws(DeploymentError) -> [Int] {
    try disk.list(directory + "/gen").compactMap { Int($0) }.sorted()
  }

  func readGeneration(_ serial: Int) throws(DeploymentError) -> Generation {
    let path = path(of: serial)
    guard let bytes = try disk.read(path + "/manifest", limit: DeploymentLimits.manifestBytesMax),
      let text = try disk.read(path + "/record", limit: 64 * 1024)
    else { throw DeploymentError(.damaged, "its files are missing") }
    guard let stored = DeploymentRecord(text: String(decoding: text, as: UTF8.self)) else {
      throw DeploymentError(.damaged, "its record is not readable")
    }
    let manifest = try Manifest(decoding: bytes)
    let digest = ContentDigest.hex(of: bytes)
    guard digest == stored.digest else { throw DeploymentError(.damaged, "its manifest was changed") }
    return Generation(serial: serial, manifest: manifest, digest: digest, record: stored)
  }

  func path(of serial: Int) -> String { "\(directory)/gen/\(serial)" }

  /// Removes generations beyond those that are kept, then the sources that none of the kept ones names.
  /// Runs after a commit, when nothing is staged.
  func collectGarbage() throws(DeploymentError) {
    let serials = try generationSerials()
    let inUse = [current?.serial, previousSerial].compactMap { $0 }
    var kept = Set(serials.suffix(DeploymentLimits.generationsKept))
    kept.formUnion(inUse)
    for serial in serials where !kept.contains(serial) { try disk.remove(path(of: serial)) }

    var needed = Set<String>()
    for serial in kept.intersection(serials) {
      // A damaged generation cannot tell what it needs and cannot be gone back to.
      if let generation = try? readGeneration(serial) { needed.formUnion(generation.manifest.sourceDigests) }
    }
    for prefix in try disk.list(directory + "/objects") {
      for name in try disk.list("\(directory)/objects/\(prefix)") where !needed.contains(prefix + name) {
        try disk.remove("\(directory)/objects/\(prefix)/\(name)")
      }
    }
  }
}
