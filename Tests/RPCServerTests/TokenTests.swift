import RPCKeys
import RPCNetwork
import RPCProcedures
import RPCServer
import RPCSystem
import RPCTransport
import RPCWire
import TestSupport
import Testing

@testable import RPCServer

@Suite("Tokens")
struct TokenTests {
  static let token = String(repeating: "A", count: 43)
  static let other = String(repeating: "B", count: 42) + "E"

  static func digest(_ token: String) -> TokenDigest? { TokenDigest(bearer: token) }

  /// Puts a generation in force in which `math` is `bot`'s alone.
  static func register(_ clients: [Topology.Client], on server: TestServer, serial: Int = 1) {
    let core = server.server.core
    var generation = ActiveGeneration()
    generation.serial = serial
    generation.clients = clients.compactMap { ClientRule($0) }
    generation.services = [
      CatalogueService(name: "math", tenants: ["bot"], providers: [], isServedHere: true)
    ]
    let done = Latch()
    core.distribute(core.activate(generation)) { done.signal() }
    done.wait()
  }

  private static func status(_ peer: HTTPPeer, _ token: String?) -> Int? {
    peer.ask(HTTPPeer.call("/math/add", "[1,2]", token.map { ["authorization: Bearer \($0)"] } ?? []))?.status
  }

  @Test("requests of one connection are whose tokens they carry")
  func requests() throws {
    let server = try TestServer()
    Self.register(
      [
        Topology.Client(name: "bot", token: Self.digest(Self.token)),
        Topology.Client(name: "guest", token: Self.digest(Self.other)),
      ], on: server)
    let peer = try HTTPPeer(port: server.port)
    #expect(Self.status(peer, nil) == 403)
    #expect(Self.status(peer, Self.token) == 200)
    #expect(Self.status(peer, Self.token) == 200)
    #expect(Self.status(peer, Self.other) == 403)
    #expect(Self.status(peer, "unknown") == 401)
    #expect(Self.status(peer, nil) == 403, "the token of a request before is not the connection's")
    let wrong = peer.ask(HTTPPeer.call("/math/add", "[1,2]", ["authorization: Basic eDp5"]))
    #expect(wrong?.status == 401 && wrong?["www-authenticate"] == "Bearer")
    // With a token a call may come as GET.
    let get = HTTPPeer.request(
      "GET", "/math/add?connect=v1&encoding=json&message=[1,2]", ["authorization: Bearer \(Self.token)"])
    #expect(peer.ask(get)?.body == #"{"result":3}"#)
  }

  @Test("gRPC's calls of one connection are whose tokens they carry, and a generation takes them back")
  func grpc() throws {
    let server = try TestServer()
    let bot = Topology.Client(name: "bot", token: Self.digest(Self.token))
    Self.register([bot, Topology.Client(name: "guest", token: Self.digest(Self.other))], on: server)
    let peer = try HTTP2Peer(port: server.port)
    func status(_ token: String?) -> Int? {
      peer.call("/math/add", HTTP2Peer.add(1, 2), token.map { [("authorization", "Bearer \($0)")] } ?? [])
        .status
    }
    for (token, code) in [
      (nil, 7), (Self.token, 0), (Self.other, 7), ("unknown", 16), (Self.token, 0), (nil, 7),
    ] {
      #expect(status(token) == code, "\(token ?? "none")")
    }
    Self.register([Topology.Client(name: "guest", token: Self.digest(Self.other))], on: server, serial: 2)
    #expect(status(Self.token) == 16)
  }

  @Test("a token that a generation no longer knows is refused on an open connection")
  func revoked() throws {
    let server = try TestServer()
    let bot = Topology.Client(name: "bot", token: Self.digest(Self.token))
    Self.register([bot], on: server)
    let peer = try HTTPPeer(port: server.port)
    #expect(Self.status(peer, Self.token) == 200)
    Self.register([Topology.Client(name: "bot", token: Self.digest(Self.other))], on: server, serial: 2)
    #expect(Self.status(peer, Self.token) == 401)
    #expect(Self.status(peer, Self.other) == 200)
  }

  @Test("a client with an address and a token needs both")
  func bound() throws {
    let server = try TestServer()
    Self.register(
      [Topology.Client(name: "bot", host: "10.0.0.0/8", token: Self.digest(Self.token))], on: server)
    let peer = try HTTPPeer(port: server.port)
    let answer = peer.ask(HTTPPeer.call("/math/add", "[1,2]", ["authorization: Bearer \(Self.token)"]))
    #expect(answer?.status == 401 && answer?.body.contains("another address") == true)
    Self.register(
      [Topology.Client(name: "bot", host: "127.0.0.1", token: Self.digest(Self.token))], on: server, serial: 2
    )
    #expect(Self.status(peer, Self.token) == 200)
    #expect(Self.status(peer, nil) == 403, "the address alone is not enough")
  }

  @Test("a name that is known by a token cannot be claimed without it")
  func claimed() throws {
    let server = try TestServer()
    Self.register([Topology.Client(name: "bot", token: Self.digest(Self.token))], on: server)
    let peer = try RawPeer(port: server.port)
    peer.send { queue in
      queue.append(Preface.bytes)
      Hello(agent: "test", identity: "bot").encode(to: &queue)
    }
    let error = peer.next()?.error
    #expect(
      error?.exception == .unauthenticated && error?.message.contains("a certificate or a token") == true)
  }

  @Test("a rule takes the key or the token of its client, from its address")
  func rules() throws {
    let key = try PrivateKey(seed: [UInt8](repeating: 1, count: 32)).publicKey
    let token = Self.digest(Self.token)
    let address: [UInt8] = [127, 0, 0, 1]
    let both = try #require(ClientRule(Topology.Client(name: "a", key: key, token: token)))
    func shown(_ key: PublicKey? = nil, _ token: TokenDigest? = nil) -> Credentials {
      var shown = Credentials(key: key)
      shown.token = token
      return shown
    }
    #expect(both.matches(address: address, port: 1, shown(key)))
    #expect(both.matches(address: address, port: 1, shown(nil, token)))
    #expect(!both.matches(address: address, port: 1, shown()))
    #expect(!both.matches(address: address, port: 1, shown(nil, Self.digest(Self.other))))
    let placed = try #require(ClientRule(Topology.Client(name: "a", host: "127.0.0.1", token: token)))
    #expect(placed.matches(address: address, port: 1, shown(nil, token)))
    #expect(!placed.matches(address: address, port: 1, shown(key)))
    #expect(!placed.matches(address: [127, 0, 0, 2], port: 1, shown(nil, token)))
    #expect(ClientRule(Topology.Client(name: "a")) == nil)
  }

  @Test("a token from another host is taken inside of encryption alone")
  func readable() throws {
    let rule = try #require(ClientRule(Topology.Client(name: "bot", token: Self.digest(Self.token))))
    let catalogue = Catalogue(serial: 1, digest: "", services: [], clients: [rule], procedures: [])
    guard let address = SocketAddress(ip: "10.0.0.7", port: 6000) else { preconditionFailure() }
    let caller = Caller(peer: address, local: nil)
    #expect(throws: RPCError.self) {
      try TokenCaller(
        authorization: "Bearer \(Self.token)", by: caller, isSafe: false, in: catalogue)
    }
    let named = try TokenCaller(
      authorization: "bearer \(Self.token)", by: caller, isSafe: true, in: catalogue)
    #expect(named.caller.claimed == "bot" && named.caller.identities(in: catalogue) == ["bot"])
  }
}
