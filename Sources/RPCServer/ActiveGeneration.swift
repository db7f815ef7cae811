internal import RPCNetwork
internal import RPCProcedures

/// What the server serves: the generation in force, as the server uses it; empty before the first deployment.
internal struct ActiveGeneration: Sendable {
  var serial = 0
  var digest = ""
  var serverName: String?
  var services: [CatalogueService] = []
  var clients: [ClientRule] = []
  var units: [SourceUnit] = []
  /// Who is who, for calls that procedures make.
  var topology: Topology?
  var topologyDigest: String?
}
