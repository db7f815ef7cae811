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
    /// The key of its certificate, whatever name and dates that has: the server is spoken to in TLS.
    public var certificate: CertificatePin?
    /// Certificates of authorities, as PEM, one of which vouches for the server's: it is spoken to in TLS. Where there is
    /// neither this nor `certificate` it is spoken to plainly.
    public var authorities: String?
    /// The key that it proved when this was deployed: what other servers know its procedures' calls by. It pins nothing.
    package var proven: PublicKey?

    public init(
      name: String, host: String, port: UInt16, key: PublicKey? = nil, certificate: CertificatePin? = nil,
      authorities: String? = nil
    ) {
      self.name = name
      self.host = host
      self.port = port
      self.key = key
      self.certificate = certificate
      self.authorities = authorities
    }
  }

  public struct Client: Hashable, Sendable {
    @ComparedByUTF8 public var name: String
    /// The address that the client calls from, or a network of them such as `10.0.0.0/8`; nil where any will do.
    @ComparedByUTF8 public var host: String?
    /// The source port that is registered, nil where any will do.
    public var port: UInt16?
    /// What servers know the client by: a key, a certificate or a token, any one of which is enough. Without any its
    /// address is.
    public var key: PublicKey?
    public var certificate: ClientCertificate?
    public var token: TokenDigest?

    public init(
      name: String, host: String? = nil, port: UInt16? = nil, key: PublicKey? = nil,
      certificate: ClientCertificate? = nil, token: TokenDigest? = nil
    ) {
      self.name = name
      self.host = host
      self.port = port
      self.key = key
      self.certificate = certificate
      self.token = token
    }

    /// Whether it has to show more than an address.
    package var hasCredential: Bool { key != nil || certificate != nil || token != nil }

    /// The addresses that it may call from; nil for any, and where `host` is none.
    package var block: IPBlock? { host.flatMap { IPBlock(parsing: $0) } }
  }

  public struct Service: Hashable, Sendable {
    @ComparedByUTF8 public var name: String
    /// Names of the servers that serve it.
    @ComparedByUTF8 public var providers: [String]
    /// Who may call it: names of clients; names of servers, for the procedures of every service there; `service NAME`
    /// for the procedures of one service.
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
