import RPCClient
import RPCDeployment
import RPCProcedures
import RPCWire

/// Everything the shell knows at one time, without asking a server: what completion, hints and the resolution of
/// calls look at. A snapshot: it does not change.
struct NetworkSnapshot: Sendable {
  var topology: Topology
  /// As `init.yaml` declares them: for servers that have not answered.
  var declared: [Procedure] = []
  /// As the servers said.
  var catalogues: [String: ServerCatalogue] = [:]
  var states: [String: ServerState] = [:]
  var identity: String?
  var currentServer: String?
  var variables = Variables()
  var jobs: [Int] = []

  var serverNames: [String] { topology.servers.map(\.name) }
  var clientNames: [String] { topology.clients.map(\.name) }

  var serviceNames: [String] {
    var names = topology.services.map(\.name)
    for catalogue in catalogues.values {
      for service in catalogue.services
      where !names.contains(service.name) && service.name != SystemContract.service {
        names.append(service.name)
      }
    }
    return names
  }

  /// The servers that provide a service, by the file or by what they say themselves.
  func providers(of service: String) -> [String] {
    if service == SystemContract.service { return serverNames }
    var names = topology.service(service)?.providers ?? []
    for name in serverNames where !names.contains(name) {
      if let said = catalogues[name]?.service(service),
        said.providers.isEmpty || said.providers.contains(name)
      {
        names.append(name)
      }
    }
    return names
  }

  /// What a server offers: its own word, or else the file's.
  func procedures(on server: String) -> [Procedure] {
    if let catalogue = catalogues[server] { return catalogue.procedures }
    return declared.filter { topology.service($0.signature.service)?.providers.contains(server) ?? false }
  }

  /// What any of `servers` offers (all servers when nil), each signature once.
  func procedures(on servers: [String]?) -> [Procedure] {
    var seen = Set<Signature>()
    var result: [Procedure] = []
    for server in servers ?? serverNames {
      for procedure in procedures(on: server) where seen.insert(procedure.signature).inserted {
        result.append(procedure)
      }
    }
    return result
  }

  /// What people call: without the servers' own service.
  func listedProcedures(on servers: [String]?) -> [Procedure] {
    procedures(on: servers).filter { $0.signature.service != SystemContract.service }
  }

  /// The overloads that a name stands for. A name without service must be meant for one service alone.
  func overloads(of name: ProcedureName, on servers: [String]?) -> [Procedure] {
    procedures(on: servers).filter { name.matches($0.signature) }
  }

  /// Whether a word names a procedure that somebody offers.
  func knowsProcedure(_ word: String) -> Bool {
    guard let parsed = try? ProcedureName(word) else { return false }
    return !overloads(of: parsed, on: nil).isEmpty
  }

  var upCount: Int { states.values.count { $0.isUp } }
}
