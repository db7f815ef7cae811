public import RPCWire

/// What `system.deploy_status` tells: one shape for the server that answers and the tools that ask.
public struct DeploymentStatus: Hashable, Sendable {
  /// Who is deploying right now.
  public struct Lock: Hashable, Sendable {
    public var who: String
    public var remainingMilliseconds: Int

    public init(who: String, remainingMilliseconds: Int) {
      self.who = who
      self.remainingMilliseconds = remainingMilliseconds
    }
  }

  /// The serial in force, 0 before the first deployment.
  public var generation: Int
  /// The digest of the manifest in force, empty before the first deployment.
  public var digest: String
  /// The serial that was in force before.
  public var previous: Int?
  /// The transaction that is prepared and waits for its commit.
  public var preparedTransaction: String?
  public var lock: Lock?
  /// When the generation in force was deployed, in milliseconds since 1970.
  public var lastDeploymentMilliseconds: Int?
  /// Why the generation in force is not the one committed last.
  public var degraded: String?

  public init(
    generation: Int = 0, digest: String = "", previous: Int? = nil, preparedTransaction: String? = nil,
    lock: Lock? = nil, lastDeploymentMilliseconds: Int? = nil, degraded: String? = nil
  ) {
    self.generation = generation
    self.digest = digest
    self.previous = previous
    self.preparedTransaction = preparedTransaction
    self.lock = lock
    self.lastDeploymentMilliseconds = lastDeploymentMilliseconds
    self.degraded = degraded
  }
}

extension DeploymentStatus {
  public var value: Value {
    var entries = [
      Value.Entry("generation", .int(Int64(generation))), Value.Entry("digest", .string(digest)),
    ]
    if let previous { entries.append(Value.Entry("previous", .int(Int64(previous)))) }
    if let preparedTransaction { entries.append(Value.Entry("prepared_tx", .string(preparedTransaction))) }
    if let lock { entries.append(Value.Entry("lock", lock.value)) }
    if let lastDeploymentMilliseconds {
      entries.append(Value.Entry("last_deployment_ms", .int(Int64(lastDeploymentMilliseconds))))
    }
    if let degraded { entries.append(Value.Entry("degraded", .string(degraded))) }
    return .map(entries)
  }

  /// Reads an answer. Keys that a newer server adds are passed over.
  public init(_ value: Value) throws(DeploymentError) {
    func integer(_ value: Value?) -> Int? { value?.intValue.map { Int($0) } }
    guard let generation = integer(value["generation"]), let digest = value["digest"]?.stringValue else {
      throw DeploymentError(.malformed, "the server's deploy_status is not understood")
    }
    self.init(
      generation: generation, digest: digest, previous: integer(value["previous"]),
      preparedTransaction: value["prepared_tx"]?.stringValue,
      lock: value["lock"].flatMap { Lock($0) },
      lastDeploymentMilliseconds: integer(value["last_deployment_ms"]),
      degraded: value["degraded"]?.stringValue)
  }
}

extension DeploymentStatus.Lock {
  public var value: Value { ["who": .string(who), "ttl_ms": .int(Int64(remainingMilliseconds))] }

  /// nil where the value names nobody, as the answer of `deploy_unlock` where there was no lock.
  public init?(_ value: Value) {
    guard let who = value["who"]?.stringValue else { return nil }
    self.init(who: who, remainingMilliseconds: value["ttl_ms"]?.intValue.map { Int($0) } ?? 0)
  }
}
