internal import RPCNetwork
internal import RPCWire

/// Who serves a call.
extension Topology {
  /// The servers that a call may go to; never empty.
  internal func candidates(for route: Route) throws(RPCError) -> [Server] {
    if let name = route.server {
      guard let server = server(name) else { throw unknownServer(name) }
      return [server]
    }
    let service = route.binding.service
    let found = providers(of: service)
    guard !found.isEmpty else { throw noProvider(of: service) }
    return found
  }

  internal func providers(of service: String) -> [Server] {
    // Every server answers for itself.
    if service == "system" { return servers }
    return self.service(service)?.providers.compactMap { server($0) } ?? []
  }

  internal func unknownServer(_ name: String) -> RPCError {
    let known = servers.map(\.name).joined(separator: ", ")
    return RPCError(.serviceNotFound, "there is no server '\(name)'; there are: \(known)")
  }

  internal func noProvider(of service: String) -> RPCError {
    guard self.service(service) != nil else {
      let known = services.map(\.name).joined(separator: ", ")
      return RPCError(.serviceNotFound, "no server provides the service '\(service)'; there are: \(known)")
    }
    return RPCError(.serviceNotFound, "the service '\(service)' has no provider")
  }
}
