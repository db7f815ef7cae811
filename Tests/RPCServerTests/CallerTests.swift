import RPCKeys
import RPCNetwork
import RPCProcedures
import RPCTransport
import RPCWire
import Testing

@testable import RPCServer

@Suite("What a caller shows of itself")
struct CallerTests {
  private static let bearer = String(repeating: "A", count: 43)

  private static func catalogue() throws -> Catalogue {
    let token = try #require(TokenDigest(bearer: bearer))
    let rule = try #require(ClientRule(Topology.Client(name: "web", token: token)))
    return Catalogue(serial: 1, digest: "", services: [], clients: [rule], procedures: [])
  }

  private static func caller(at ip: String) throws -> Caller {
    Caller(peer: try #require(SocketAddress(ip: ip, port: 6000)), local: nil)
  }

  @Test("a token makes its client known inside TLS and from this host, for the requests that have it")
  func tokens() throws {
    let catalogue = try Self.catalogue()
    for (ip, isPrivate) in [("10.1.2.3", true), ("127.0.0.1", false), ("127.0.0.1", true)] {
      let caller = try Self.caller(at: ip)
      #expect(caller.identities(in: catalogue) == [])
      #expect(try caller.present(bearer: Self.bearer, isPrivate: isPrivate, in: catalogue))
      #expect(caller.identities(in: catalogue) == ["web"])
      #expect(try !caller.present(bearer: Self.bearer, isPrivate: isPrivate, in: catalogue))
      #expect(try caller.present(bearer: nil, isPrivate: isPrivate, in: catalogue))
      #expect(caller.identities(in: catalogue) == [])
    }
  }

  @Test("a token that was readable on the way, or is nobody's, is refused and leaves no right")
  func refused() throws {
    let catalogue = try Self.catalogue()
    let caller = try Self.caller(at: "10.1.2.3")
    _ = try caller.present(bearer: Self.bearer, isPrivate: true, in: catalogue)
    for (bearer, isPrivate, words) in [
      (Self.bearer, false, "came unencrypted"), ("nonsense", true, "no registered client"),
      (String(repeating: "B", count: 43), true, "no registered client"),
    ] {
      let error = #expect(throws: RPCError.self) {
        try caller.present(bearer: bearer, isPrivate: isPrivate, in: catalogue)
      }
      #expect(error?.exception == .unauthenticated && error?.message.contains(words) == true)
      #expect(caller.identities(in: catalogue) == [])
    }
  }
}
