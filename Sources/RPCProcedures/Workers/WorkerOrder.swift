internal import RPCWire

/// What a launcher is told about a worker: whose it is, and what it may reach.
package struct WorkerOrder: Hashable, Sendable {
  package var service: String
  package var confinement: Confinement
  /// What counts, of the service's and the server's.
  package var isolation: Isolation
  /// What the service's secrets are now.
  package var secrets: [Secret]
  /// Where the packages of its requirements are, without the version of Python behind it; nil for those of the server.
  package var packages: String?
  /// Bytes that a call may use which has the largest bound of its service. Not what orders are told apart by.
  package var memoryBytes: Int

  package init(
    service: String, confinement: Confinement = .standard, isolation: Isolation = .standard,
    secrets: [Secret] = [], packages: String? = nil, memoryBytes: Int = 0
  ) {
    self.service = service
    self.confinement = confinement
    self.isolation = isolation
    self.secrets = secrets
    self.packages = packages
    self.memoryBytes = memoryBytes
  }

  package static func == (left: WorkerOrder, right: WorkerOrder) -> Bool {
    left.service == right.service && left.confinement == right.confinement
      && left.isolation == right.isolation && left.secrets == right.secrets && left.packages == right.packages
  }

  package func hash(into hasher: inout Hasher) {
    hasher.combine(service)
    hasher.combine(confinement)
    hasher.combine(isolation)
    hasher.combine(secrets)
    hasher.combine(packages)
  }

  private static let network: UInt8 = 1
  private static let unconfined: UInt8 = 2
  private static let required: UInt8 = 4
  private static let provided: UInt8 = 8

  /// Whether the worker is told, before all else, what it is given.
  internal var isProvided: Bool { !confinement.provision.isEmpty }

  /// Appends the PROVIDE frame.
  internal func appendProvision(to queue: inout ByteQueue) {
    let mark = WorkerDialect.begin(.provide, callID: 0, in: &queue)
    let environment = confinement.provision.environment
    queue.appendListHeader(count: 3)
    queue.appendListHeader(count: environment.count)
    for variable in environment {
      queue.appendListHeader(count: 2)
      queue.appendString(variable.name)
      queue.appendString(variable.value)
    }
    queue.appendListHeader(count: secrets.count)
    for secret in secrets {
      queue.appendListHeader(count: 2)
      queue.appendString(secret.name)
      queue.appendBinary(secret.bytes)
    }
    if let packages { queue.appendString(packages) } else { queue.appendNil() }
    queue.endFrame(mark)
  }

  /// As `protocol.py` has it.
  internal var bytes: [UInt8] {
    var flags: UInt8 = confinement.network == .none ? 0 : Self.network
    if isolation == .none { flags |= Self.unconfined }
    if isolation == .required { flags |= Self.required }
    if isProvided { flags |= Self.provided }
    let memory = UInt64(max(0, memoryBytes))
    var bytes = [flags] + (0..<8).map { UInt8(truncatingIfNeeded: memory >> (8 * $0)) } + Array(service.utf8)
    for port in confinement.network.ports { bytes += [0, UInt8(ascii: "p")] + Array("\(port)".utf8) }
    for path in confinement.readable { bytes += [0, UInt8(ascii: "r")] + Array(path.utf8) }
    for path in confinement.writable { bytes += [0, UInt8(ascii: "w")] + Array(path.utf8) }
    return bytes
  }
}

/// What a fork server has of the means to confine its workers.
package struct IsolationTier: Hashable, Sendable {
  package var flags: UInt32

  /// Whether there is enough to confine workers at all.
  package var confines: Bool { flags & 0x06 == 0x06 }
  /// Whether workers have processes, networks and users of their own.
  package var hasNamespaces: Bool { flags & 0x01 != 0 }

  /// As logs and `system.stats` tell it.
  package var description: String {
    guard confines else { return "none: this system has no Landlock or no seccomp" }
    var parts = ["Landlock \(flags >> 8)", "seccomp"]
    if hasNamespaces { parts.append("namespaces") }
    if flags & 0x08 != 0 { parts.append("users of their own") }
    if flags & 0x18 == 0x10 { parts.append("root without capabilities") }
    if flags & 0x20 != 0 { parts.append("control groups") }
    return parts.joined(separator: ", ")
  }
}
