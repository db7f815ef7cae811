import RPCNetwork
import RPCProcedures
import RPCWire

/// What a file declares, with the places that later errors point at.
struct DeclaredServer {
  var server: Topology.Server
  var place: Place
}

struct DeclaredClient {
  var client: Topology.Client
  var place: Place
}

/// A name that refers to something declared elsewhere.
struct Reference {
  var name: String
  var place: Place

  var key: UTF8Key { UTF8Key(name) }
}

struct DeclaredService {
  var name: String
  var place: Place
  var providers: [Reference]
  var tenants: [Reference]
  var procedures: [Reference]
  var confinement = Confinement.standard
}

struct DeclaredProcedure {
  var procedure: Procedure
  var place: Place
  /// Its service, as the `rpc` section names it.
  var service: Reference
  /// The source's path as the file gives it.
  var path: String
}
