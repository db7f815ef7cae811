public import RPCClient
import RPCKeys
public import RPCProcedures
import RPCWire

/// What one server is told to be: the network as the file declares it and the procedures this server
/// provides. Sources are named by their digest and travel apart.
///
/// A manifest is always in canonical order (everything by name, procedures by their signature), so that equal
/// deployments have equal bytes and an equal digest, in whatever order the file lists them.
public struct Manifest: Hashable, Sendable {
  /// A client as access checks need it.
  public struct Client: Hashable, Sendable {
    public var name: String
    /// A numeric address or, with a prefix length, a network (`10.0.0.0/8`); nil for any address.
    public var host: String?
    /// The registered source port, nil for any.
    public var port: UInt16?
    /// The public key that it must prove, instead of or besides an address: `ssh-ed25519 AAAA…`.
    public var key: String?

    public init(name: String, host: String? = nil, port: UInt16? = nil, key: String? = nil) {
      self.name = name
      self.host = host
      self.port = port
      self.key = key
    }

    /// The addresses it may call from, nil for any.
    public var block: IPBlock? { host.flatMap { IPBlock(parsing: $0) } }

    /// The client without what only access checks need. One that may call from a whole network has no address
    /// of its own there.
    var topologyClient: Topology.Client {
      Topology.Client(
        name: name, host: block?.isSingle == true ? host : nil, port: port, key: publicKey)
    }

    /// `key`, read.
    var publicKey: PublicKey? { key.flatMap { try? PublicKey(parsing: $0) } }

    /// What the server's access check goes by; nil for a client that nothing tells from others.
    public var rule: ClientRule? {
      guard block != nil || key != nil else { return nil }
      return ClientRule(
        name: name, network: block?.bytes, prefixLength: block?.prefixLength ?? 0, port: port.map(Int.init),
        // One that cannot be read lets nobody in.
        key: key == nil ? nil : publicKey?.bytes ?? [])
    }
  }

  /// The name of the server that this manifest is for.
  public let server: String
  public let servers: [Topology.Server]
  public let clients: [Client]
  /// Every service of the network, so that a caller can be told where to find one that is not here.
  public let services: [Topology.Service]
  /// The procedures of the services that this server provides.
  public let procedures: [Procedure]

  public init(
    server: String, servers: [Topology.Server], clients: [Client] = [], services: [Topology.Service] = [],
    procedures: [Procedure] = []
  ) {
    self.server = server
    self.servers = servers.sorted { $0.name < $1.name }
    self.clients = clients.sorted { $0.name < $1.name }
    self.services =
      services.map {
        Topology.Service(name: $0.name, providers: $0.providers.sorted(), tenants: $0.tenants.sorted())
      }.sorted { $0.name < $1.name }
    // The key is built once each: a comparison that spelled types would spell them n log n times.
    self.procedures = procedures.map { (Self.identity(of: $0.signature), $0) }.sorted { $0.0 < $1.0 }.map(\.1)
  }

  /// What tells two procedures apart: service, name and argument types.
  public static func identity(of signature: Signature) -> String {
    "\(signature.qualifiedName)(\(signature.parameterTypes.map(\.description).joined(separator: ", ")))"
  }

  /// The digests of the sources it needs, each once, in order.
  public var sourceDigests: [String] {
    Set(procedures.map(\.digest)).sorted()
  }

  /// The names of the services that the server provides.
  public var providedServices: [String] {
    services.filter { $0.providers.contains { $0.hasSameUTF8(as: server) } }.map(\.name)
  }

  /// SHA-256 of the canonical encoding.
  public var digest: String { ContentDigest.hex(of: encode()) }

  /// The network without what only access checks need.
  public var topology: Topology {
    Topology(servers: servers, clients: clients.map(\.topologyClient), services: services)
  }
}
