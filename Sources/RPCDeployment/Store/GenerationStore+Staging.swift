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

  /// Moves staged sources among the objects and writes the generation and the topology, all of it durable: what a
  /// server must have done before it says that it is prepared. Nothing is in force yet.
  ///
  /// Sources that the generation shares with others are simply there; should the deployment end here, what nothing
  /// names is collected.
  func persist(
    _ prepared: PreparedDeployment, staged: [String], in transaction: String
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

    try markFormat()
    let quarantine = stagingPath(transaction)
    if let generation = prepared.generation {
      try write(
        generation.manifest.encode(), generation.record, as: "manifest", to: quarantine + "/generation")
    }
    if let topology = prepared.topology {
      try write(topology.topology.encode(), topology.record, as: "topology", to: quarantine + "/topology")
    }
    try disk.syncDirectory(quarantine)
  }

  private func write(
    _ bytes: [UInt8], _ record: DeploymentRecord, as name: String, to directory: String
  ) throws(DeploymentError) {
    try disk.makeDirectory(directory)
    try disk.write(bytes, to: "\(directory)/\(name)", sync: true)
    try disk.write(Array(record.text.utf8), to: "\(directory)/record", sync: true)
    try disk.syncDirectory(directory)
  }

  /// The number of the next topology: no lower one can have been in force.
  var nextTopology: Int { max(lastTopology, topology?.serial ?? 0) + 1 }

  // MARK: The switch

  /// Puts what is persisted in force: it returns once a restart is certain to find it. Where it throws, what was in
  /// force is in force still, and either the same call is repeated, or `undoSwitch` ends it.
  ///
  /// One rename is the instant of the switch on the disk: that of `current`, whose generation names its topology, or
  /// where only the topology is new that of `topology`.
  func activate(
    _ prepared: PreparedDeployment, of transaction: String
  ) throws(DeploymentError) -> Generation? {
    var open = openSwitch ?? OpenSwitch(transaction: transaction)
    if !open.transaction.hasSameUTF8(as: transaction) { open = OpenSwitch(transaction: transaction) }
    openSwitch = open
    try beginFence()
    if let topology = prepared.topology, open.topology == nil {
      let path = topologyPath(of: topology.serial)
      try disk.remove(path)
      try disk.rename(stagingPath(transaction) + "/topology", to: path)
      openSwitch?.topology = topology.serial
    }
    if let topology = prepared.topology {
      try accept(topology.record, .topology, topology.serial, in: topologyPath(of: topology.serial))
      try disk.syncDirectory("topologies")
    }
    if let generation = prepared.generation {
      current = try activate(generation, of: transaction)
    } else if let topology = prepared.topology {
      openSwitch?.mayBeLinked = true
      try disk.point("topology", at: topologyPath(of: topology.serial))
      try disk.syncDirectory("")
    }
    openSwitch = nil
    if let new = prepared.topology {
      topology = new
      lastTopology = new.serial
    }
    degraded = nil
    if let signed = (prepared.generation?.record ?? prepared.topology?.record)?.signed {
      raiseFence(to: signed)
    }
    return current
  }

  /// Signs, as this server, the record of what is about to be in force.
  private func accept(
    _ record: DeploymentRecord, _ kind: SealedText.Kind, _ number: Int, in directory: String
  ) throws(DeploymentError) {
    let text = SealedText.seal(record.text, kind, number: number, by: knownKey)
    try disk.write(Array(text.utf8), to: directory + "/record", sync: true)
  }

  private func activate(
    _ prepared: PreparedDeployment.NewGeneration, of transaction: String
  ) throws(DeploymentError) -> Generation {
    let serial: Int
    if let begun = openSwitch?.serial {
      serial = begun
    } else {
      serial = try nextSerial()
      try disk.remove(path(of: serial))
      try disk.rename(stagingPath(transaction) + "/generation", to: path(of: serial))
      index[serial] = Needs(
        sources: Set(prepared.manifest.sourceDigests), topology: prepared.record.topology,
        deployment: prepared.record.signed?.origin.serial)
      openSwitch?.serial = serial
    }
    try accept(prepared.record, .generation, serial, in: path(of: serial))
    try disk.syncDirectory("gen")
    if let current { try disk.point("previous", at: path(of: current.serial)) }
    openSwitch?.mayBeLinked = true
    try disk.point("current", at: path(of: serial))
    try disk.syncDirectory("")
    lastSerial = serial
    previousSerial = current?.serial
    return Generation(
      serial: serial, manifest: prepared.manifest, digest: prepared.record.digest, record: prepared.record)
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
      if let serial = open.serial {
        if open.mayBeLinked {
          lastSerial = max(lastSerial, serial)
          try pointBack("current", at: current.map { path(of: $0.serial) })
        }
        try disk.remove(path(of: serial))
        index[serial] = nil
      } else if open.mayBeLinked {
        let serial = topology?.serial ?? 0
        try pointBack("topology", at: serial > 0 ? topologyPath(of: serial) : nil)
      }
      if let serial = open.topology {
        lastTopology = max(lastTopology, serial)
        try disk.remove(topologyPath(of: serial))
      }
    } catch {
      guard open.mayBeLinked else { return }
      let serving = current.map { "generation \($0.serial) is in force" } ?? "no generation is in force"
      let other = open.serial.map { "generation \($0)" } ?? "topology \(open.topology ?? 0)"
      degraded = "\(serving), but a restart may find \(other): \(error)"
    }
  }

  private func pointBack(_ link: String, at target: String?) throws(DeploymentError) {
    if let target {
      try disk.point(link, at: target)
    } else {
      try disk.remove(link)
    }
    try disk.syncDirectory("")
  }

  /// Throws a quarantine away.
  func discard(_ transaction: String) throws(DeploymentError) {
    try disk.remove(stagingPath(transaction))
  }
}
