package import RPCNetwork
package import RPCWire

/// What a deployment did, server by server.
package struct DeploymentReport: Sendable {
  package enum Outcome: Hashable, Sendable {
    /// It has everything already: nothing was sent.
    case upToDate
    /// The new generation is in force.
    case deployed(generation: Int)
    /// A dry run: this is what would be done.
    case planned
    /// It could have been deployed to, but was left as it is because of another server.
    case leftAlone
    /// It could not be reached.
    case missed(RPCError)
    /// It refused; what it has is still in force.
    case refused(RPCError)
    /// It was prepared, but did not confirm the commit: it has either generation until the next run.
    case unconfirmed(RPCError)
  }

  package struct Server: Sendable {
    package var server: Topology.Server
    package var outcome: Outcome
    /// nil where the server could not be asked what it has.
    package var plan: Plan?
    /// Sources that travelled, and their bytes.
    package var sentSources: Int
    package var sentBytes: Int
    /// What it could not load.
    package var loadFailures: [LoadFailure]

    package init(
      server: Topology.Server, outcome: Outcome, plan: Plan? = nil, sentSources: Int = 0, sentBytes: Int = 0,
      loadFailures: [LoadFailure] = []
    ) {
      self.server = server
      self.outcome = outcome
      self.plan = plan
      self.sentSources = sentSources
      self.sentBytes = sentBytes
      self.loadFailures = loadFailures
    }
  }

  /// In the order of the file.
  package var servers: [Server]
  /// What was signed, nil where nothing had to be deployed.
  package var deployment: DeploymentOrigin?
  /// How the file names each source, by digest, so that people are shown its path.
  package var sourcePaths: [String: String]
  /// Where the file declares each procedure, by its identity.
  package var places: [String: String] = [:]
  /// The file of the deployer's public key, where there is one.
  package var publicKeyPath: String?
  /// What could not be found in sources that a server refused.
  package var hints: [Diagnostic] = []

  package init(servers: [Server], sourcePaths: [String: String] = [:]) {
    self.servers = servers
    self.sourcePaths = sourcePaths
  }

  /// Every server has, or in a dry run could be given, what the file says.
  package var succeeded: Bool { servers.allSatisfy(\.outcome.isSuccess) }

  /// Whether a server refused a source of that file name.
  func refuses(sourceNamed name: String) -> Bool {
    servers.contains { server in
      server.loadFailures.contains { $0.sourceName.hasSameUTF8(as: name) }
    }
  }

  /// Whether a server does not let the deployer's key in.
  var refusesKey: Bool {
    servers.contains { server in
      guard case .refused(let error) = server.outcome else { return false }
      return error.exception == .unauthenticated
    }
  }

  /// The servers because of which nothing, or not everything, was done.
  package var failures: [Server] {
    servers.filter {
      switch $0.outcome {
      case .missed, .refused, .unconfirmed: true
      case .upToDate, .deployed, .planned, .leftAlone: false
      }
    }
  }
}

extension DeploymentReport.Outcome {
  package var isSuccess: Bool {
    switch self {
    case .upToDate, .deployed, .planned: true
    case .leftAlone, .missed, .refused, .unconfirmed: false
    }
  }
}
