public import RPCKeys
public import RPCWire

/// Who is who in a network: the servers and where they listen, the clients and where they call from, the
/// services, who provides them and who may call them. What `init.yaml` says, without the procedures.
public struct Topology: Hashable, Sendable {
  public struct Server: Hashable, Sendable {
    @ComparedByUTF8 public var name: String
    /// An IPv4 or IPv6 address or a host name, which is resolved again for each new connection.
    @ComparedByUTF8 public var host: String
    public var port: UInt16
    /// The key that the server must prove; nil takes whichever it proves.
    public var key: PublicKey?

    public init(name: String, host: String, port: UInt16, key: PublicKey? = nil) {
      self.name = name
      self.host = host
      self.port = port
      self.key = key
    }
  }

  public struct Client: Hashable, Sendable {
    @ComparedByUTF8 public var name: String
    /// The address that the client calls from, nil where any will do.
    @ComparedByUTF8 public var host: String?
    /// The source port that is registered, nil where any will do.
    public var port: UInt16?
    /// The key that servers know the client by, nil where its address is enough.
    public var key: PublicKey?

    public init(name: String, host: String? = nil, port: UInt16? = nil, key: PublicKey? = nil) {
      self.name = name
      self.host = host
      self.port = port
      self.key = key
    }
  }

  public struct Service: Hashable, Sendable {
    @ComparedByUTF8 public var name: String
    /// Names of the servers that serve it.
    @ComparedByUTF8 public var providers: [String]
    /// Names of the clients that may call it.
    @ComparedByUTF8 public var tenants: [String]

    public init(name: String, providers: [String], tenants: [String]) {
      self.name = name
      self.providers = providers
      self.tenants = tenants
    }
  }

  public var servers: [Server]
  public var clients: [Client]
  public var services: [Service]

  public init(servers: [Server], clients: [Client] = [], services: [Service] = []) {
    self.servers = servers
    self.clients = clients
    self.services = services
  }

  public func server(_ name: String) -> Server? { servers.first { $0.name.hasSameUTF8(as: name) } }
  public func client(_ name: String) -> Client? { clients.first { $0.name.hasSameUTF8(as: name) } }
  public func service(_ name: String) -> Service? { services.first { $0.name.hasSameUTF8(as: name) } }
}

/// Where a topology comes from: a file today, a registry of leases tomorrow.
public protocol TopologySource: Sendable {
  func topology() throws -> Topology
}

extension Topology: TopologySource {
  /// A topology that was written down in the program.
  public func topology() -> Topology { self }
}

// MARK: Who serves a call

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
