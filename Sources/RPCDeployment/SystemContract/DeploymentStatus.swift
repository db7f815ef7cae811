import RPCKeys
package import RPCWire

/// How far a server is with its deployments: the answer of `system.deploy_status`.
package struct DeploymentStatus: Hashable, Sendable {
  /// Who is deploying right now.
  package struct Lock: Hashable, Sendable {
    package var who: String
    package var remainingMilliseconds: Int

    package init(who: String, remainingMilliseconds: Int) {
      self.who = who
      self.remainingMilliseconds = remainingMilliseconds
    }
  }

  /// What the generation in force says that a server has proven.
  package struct ServerKey: Hashable, Sendable {
    package var server: String
    package var key: String

    package init(server: String, key: String) {
      self.server = server
      self.key = key
    }
  }

  /// The deployment in force, as it was signed.
  package struct Deployment: Hashable, Sendable {
    /// The same on every server.
    @ComparedByUTF8 package var id: String
    package var serial: Int
    @ComparedByUTF8 package var network: String
    /// The key that signed it.
    @ComparedByUTF8 package var deployer: String
    /// Whether that key may deploy to this server now.
    package var isTrusted: Bool
    @ComparedByUTF8 package var who: String
    package var timeMilliseconds: Int
    @ComparedByUTF8 package var message: String?
    @ComparedByUTF8 package var commit: String?
    package var rollbackOf: Int?
    @ComparedByUTF8 package var leftOut: [String]

    package init(_ origin: DeploymentOrigin, isTrusted: Bool) {
      id = origin.id
      serial = origin.serial
      network = origin.network
      deployer = origin.deployer.description
      self.isTrusted = isTrusted
      who = origin.who
      timeMilliseconds = origin.timeMilliseconds
      message = origin.message
      commit = origin.commit
      rollbackOf = origin.rollbackOf
      leftOut = origin.leftOut
    }

    fileprivate init() {
      id = ""
      serial = 0
      network = ""
      deployer = ""
      isTrusted = false
      who = ""
      timeMilliseconds = 0
      leftOut = []
    }

    /// The key as people compare it.
    package var fingerprint: String {
      (try? PublicKey(parsing: deployer))?.fingerprint ?? deployer
    }
  }

  /// The serial in force, 0 before the first deployment.
  package var generation: Int
  /// The digest of the manifest in force, empty before the first deployment.
  package var digest: String
  /// The number of the topology in force, 0 for one that version 1.0 kept; nil before the first deployment.
  package var topology: Int?
  /// The digest of the topology in force, nil before the first deployment.
  @ComparedByUTF8 package var topologyDigest: String?
  /// The serial that was in force before.
  package var previous: Int?
  /// The transaction that is prepared and waits for its commit.
  package var preparedTransaction: String?
  package var lock: Lock?
  /// When the generation or the topology in force was deployed, whichever was later, in milliseconds since 1970.
  package var lastDeploymentMilliseconds: Int?
  /// Why the generation in force is not the one committed last.
  package var degraded: String?
  /// What servers proved when that was deployed; nil for none.
  package var serverKeys: [ServerKey]?
  /// What the server does for the deployment that it prepares, for people, where that takes long.
  @ComparedByUTF8 package var progress: String?
  /// What was signed of the deployment in force; nil before the first one, and where that is not signed.
  package var deployment: Deployment?
  /// The highest serial of a deployment that was in force here, nil where none was signed.
  package var highestSerial: Int?
  /// What confines the processes of procedures, nil where there were none yet.
  @ComparedByUTF8 package var isolation: String? = nil

  /// Whether what is in force was put there by a version up to 1.1.0, which signed nothing.
  package var isUnsigned: Bool { generation > 0 && deployment == nil }

  package init(
    generation: Int = 0, digest: String = "", topology: Int? = nil, topologyDigest: String? = nil,
    previous: Int? = nil, preparedTransaction: String? = nil,
    lock: Lock? = nil, lastDeploymentMilliseconds: Int? = nil, degraded: String? = nil,
    serverKeys: [ServerKey]? = nil, progress: String? = nil, deployment: Deployment? = nil,
    highestSerial: Int? = nil
  ) {
    self.generation = generation
    self.digest = digest
    self.topology = topology
    self.topologyDigest = topologyDigest
    self.previous = previous
    self.preparedTransaction = preparedTransaction
    self.lock = lock
    self.lastDeploymentMilliseconds = lastDeploymentMilliseconds
    self.degraded = degraded
    self.serverKeys = serverKeys
    self.progress = progress
    self.deployment = deployment
    self.highestSerial = highestSerial
  }
}

extension DeploymentStatus: SystemMap {
  package static let empty = DeploymentStatus()
  package static let fields: [SystemField<DeploymentStatus>] = [
    .init("generation", \.generation), .init("digest", \.digest), .init("topology", \.topology),
    .init("topology_digest", \.topologyDigest), .init("previous", \.previous),
    .init("prepared_tx", \.preparedTransaction), .init("lock", \.lock),
    .init("last_deployment_ms", \.lastDeploymentMilliseconds), .init("degraded", \.degraded),
    .init("server_keys", \.serverKeys), .init("deployment", \.deployment),
    .init("highest_serial", \.highestSerial), .init("isolation", \.isolation), .init("progress", \.progress),
  ]
}

extension DeploymentStatus.Deployment: SystemMap {
  package static let empty = DeploymentStatus.Deployment()
  package static let fields: [SystemField<DeploymentStatus.Deployment>] = [
    .init("id", \.id), .init("serial", \.serial), .init("network", \.network), .init("deployer", \.deployer),
    .init("trusted", \.isTrusted), .init("who", \.who), .init("time_ms", \.timeMilliseconds),
    .init("message", \.message), .init("commit", \.commit), .init("rollback_of", \.rollbackOf),
    .init(unlessEmpty: "left_out", \.leftOut),
  ]
}

extension DeploymentStatus.ServerKey: SystemMap {
  package static let empty = DeploymentStatus.ServerKey(server: "", key: "")
  package static let fields: [SystemField<DeploymentStatus.ServerKey>] = [
    .init("server", \.server), .init("key", \.key),
  ]
}

extension DeploymentStatus.Lock: SystemMap {
  package static let empty = DeploymentStatus.Lock(who: "", remainingMilliseconds: 0)
  package static let fields: [SystemField<DeploymentStatus.Lock>] = [
    .init("who", \.who), .init("ttl_ms", \.remainingMilliseconds),
  ]
}
