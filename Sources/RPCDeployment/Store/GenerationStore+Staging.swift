extension GenerationStore {
  func stagingPath(_ transaction: String) -> String { "\(directory)/incoming/\(transaction)" }

  private func stagedPath(_ transaction: String, _ digest: String) -> String {
    "\(stagingPath(transaction))/\(digest)"
  }

  /// Opens the quarantine of a deployment.
  func openStaging(_ transaction: String) throws(DeploymentError) {
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
  /// Sources that the generation shares with others are simply there; should the deployment end here, the next
  /// one collects what nobody names.
  func persist(
    _ manifest: [UInt8], _ record: DeploymentRecord, staged: [String], in transaction: String
  ) throws(DeploymentError) {
    var directories = Set<String>()
    for digest in staged {
      let path = objectPath(digest)
      let parent = "\(directory)/objects/\(digest.prefix(2))"
      if directories.insert(parent).inserted { try disk.makeDirectory(parent) }
      try disk.seal(stagedPath(transaction, digest))
      try disk.rename(stagedPath(transaction, digest), to: path)
    }
    for parent in directories.sorted() { try disk.syncDirectory(parent) }
    if !directories.isEmpty { try disk.syncDirectory(directory + "/objects") }

    let generation = stagingPath(transaction) + "/generation"
    try disk.makeDirectory(generation)
    try disk.write(manifest, to: generation + "/manifest", sync: true)
    try disk.write(Array(record.text.utf8), to: generation + "/record", sync: true)
    try disk.syncDirectory(generation)
    try disk.syncDirectory(stagingPath(transaction))
  }

  /// Puts a persisted generation in force. The rename of `current` is the instant of the switch: before it
  /// everything is as it was, after it the new generation is what a restart finds.
  func activate(
    _ manifest: Manifest, _ record: DeploymentRecord, of transaction: String
  ) throws(DeploymentError) -> Generation {
    let serial = lastSerial + 1
    let persisted = stagingPath(transaction) + "/generation"
    // When a commit that failed further down is repeated, the generation is in its place already.
    if disk.exists(persisted) {
      try disk.remove(path(of: serial))
      try disk.rename(persisted, to: path(of: serial))
    }
    try disk.syncDirectory(directory + "/gen")
    if let current { try disk.point(directory + "/previous", at: "gen/\(current.serial)") }
    try disk.point(directory + "/current", at: "gen/\(serial)")
    let generation = Generation(serial: serial, manifest: manifest, digest: record.digest, record: record)
    lastSerial = serial
    previousSerial = current?.serial
    current = generation
    degraded = nil
    try disk.syncDirectory(directory)
    return generation
  }

  /// Throws a quarantine away.
  func discard(_ transaction: String) throws(DeploymentError) {
    try disk.remove(stagingPath(transaction))
  }
}
