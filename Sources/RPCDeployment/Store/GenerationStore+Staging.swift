internal import RPCWire

extension GenerationStore {
  func stagingPath(_ transaction: String) -> String { "incoming/\(transaction)" }

  private func stagedPath(_ transaction: String, _ digest: String) -> String {
    "\(stagingPath(transaction))/\(digest)"
  }

  /// Opens the quarantine of a deployment.
  func openStaging(_ transaction: String) throws(DeploymentError) {
    for name in Self.directories { try disk.makeDirectory(name) }
    try disk.remove(stagingPath(transaction))
    try disk.makeDirectory(stagingPath(transaction))
  }

  /// Writes a part of a source into the quarantine.
  func stage(
    _ bytes: [UInt8], of digest: String, at offset: Int, in transaction: String
  ) throws(DeploymentError) {
    try disk.write(bytes, to: stagedPath(transaction, digest), at: offset, sync: false)
  }

  /// A source as it stands in the quarantine.
  func staged(_ digest: String, in transaction: String) throws(DeploymentError) -> [UInt8]? {
    try disk.read(stagedPath(transaction, digest), limit: DeploymentLimits.sourceBytesMax)
  }

  /// Moves staged sources among the objects and writes the generation, all of it durable: what a server must
  /// have done before it says that it is prepared. Nothing is in force yet.
  ///
  /// Sources that the generation shares with others are simply there; should the deployment end here, what nobody
  /// names is collected.
  func persist(
    _ manifest: [UInt8], _ record: DeploymentRecord, staged: [String], in transaction: String
  ) throws(DeploymentError) {
    var directories = Set<String>()
    for digest in staged {
      let path = objectPath(digest)
      let parent = "objects/\(digest.prefix(2))"
      if directories.insert(parent).inserted { try disk.makeDirectory(parent) }
      try disk.seal(stagedPath(transaction, digest))
      try disk.rename(stagedPath(transaction, digest), to: path)
    }
    for parent in directories.sorted() { try disk.syncDirectory(parent) }
    if !directories.isEmpty { try disk.syncDirectory("objects") }

    let generation = stagingPath(transaction) + "/generation"
    try disk.makeDirectory(generation)
    try disk.write(manifest, to: generation + "/manifest", sync: true)
    try disk.write(Array(record.text.utf8), to: generation + "/record", sync: true)
    try disk.syncDirectory(generation)
    try disk.syncDirectory(stagingPath(transaction))
  }

  // MARK: The switch

  /// Puts a persisted generation in force: it returns once a restart is certain to find it. Where it throws,
  /// what was in force is in force still, and either the same call is repeated, or `undoSwitch` ends it.
  ///
  /// The rename of `current` is the instant of the switch on the disk.
  func activate(
    _ manifest: Manifest, _ record: DeploymentRecord, of transaction: String
  ) throws(DeploymentError) -> Generation {
    let serial: Int
    if let open = openSwitch, open.transaction.hasSameUTF8(as: transaction) {
      serial = open.serial
    } else {
      serial = try nextSerial()
      try disk.remove(path(of: serial))
      try disk.rename(stagingPath(transaction) + "/generation", to: path(of: serial))
      index[serial] = Set(manifest.sourceDigests)
      openSwitch = OpenSwitch(transaction: transaction, serial: serial)
    }
    try disk.syncDirectory("gen")
    if let current { try disk.point("previous", at: path(of: current.serial)) }
    openSwitch?.mayBeLinked = true
    try disk.point("current", at: path(of: serial))
    try disk.syncDirectory("")
    let generation = Generation(serial: serial, manifest: manifest, digest: record.digest, record: record)
    openSwitch = nil
    lastSerial = serial
    previousSerial = current?.serial
    current = generation
    degraded = nil
    return generation
  }

  private func nextSerial() throws(DeploymentError) -> Int {
    if !indexIsComplete { try readIndex() }
    let last = max(lastSerial, index.keys.max() ?? 0)
    guard last < DeploymentLimits.serialMax else {
      throw DeploymentError(
        .damaged,
        "no number is left above generation \(last): remove 'current' and 'gen/\(last)' in \(directory)")
    }
    return last + 1
  }

  /// Ends a switch that was begun and is not complete: a restart is to find what is in force.
  func undoSwitch(of transaction: String) {
    guard let open = openSwitch, open.transaction.hasSameUTF8(as: transaction) else { return }
    openSwitch = nil
    do throws(DeploymentError) {
      if open.mayBeLinked {
        lastSerial = max(lastSerial, open.serial)
        if let current {
          try disk.point("current", at: path(of: current.serial))
        } else {
          try disk.remove("current")
        }
        try disk.syncDirectory("")
      }
      try disk.remove(path(of: open.serial))
      index[open.serial] = nil
    } catch {
      guard open.mayBeLinked else { return }
      let serving = current.map { "generation \($0.serial) is in force" } ?? "no generation is in force"
      degraded = "\(serving), but a restart may find generation \(open.serial): \(error)"
    }
  }

  /// Throws a quarantine away.
  func discard(_ transaction: String) throws(DeploymentError) {
    try disk.remove(stagingPath(transaction))
  }
}
