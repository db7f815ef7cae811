import RPCNetwork
import RPCTransport
import Testing

@testable import RPCServer

/// What was decided by a head is used for others of the same bytes, as long as it would be decided so again.
@Suite("Heads of HTTP/1.1 that came before")
struct HTTP1KnownHeadsTests {
  private static let call = HTTPPeer.call("/math/add", "[1,2]", host: "node.example")

  private static func server() throws -> TestServer {
    try TestServer {
      $0.loops = 1
      $0.allowedHosts = ["node.example"]
    }
  }

  @Test("another body behind the same head is another call")
  func bodies() throws {
    let server = try Self.server()
    let peer = try HTTPPeer(port: server.port)
    for (body, sum) in [("[1,2]", 3), ("[2,2]", 4), ("[4,4]", 8)] {
      let answer = peer.ask(HTTPPeer.call("/math/add", body, host: "node.example"))
      #expect(answer?.body == #"{"result":\#(sum)}"#)
    }
    #expect(peer.ask(HTTPPeer.call("/math/add", "[1,x]", host: "node.example"))?.status == 400)
  }

  @Test("a host that is allowed no longer is refused on an open connection and on a new one")
  func hosts() throws {
    let server = try Self.server()
    let peer = try HTTPPeer(port: server.port)
    for _ in 0..<2 { #expect(peer.ask(Self.call)?.status == 200) }
    var options = server.server.core.options
    options.allowedHosts = []
    server.server.reload(.changed(options, waiting: []))
    #expect(peer.ask(Self.call)?.status == 403)
    #expect(try HTTPPeer(port: server.port).ask(Self.call)?.status == 403)
  }

  @Test("another caller has its own rights, and so has every generation")
  func callers() throws {
    let server = try Self.server()
    let (bot, other) = (try HTTPPeer(port: server.port), try HTTPPeer(port: server.port))
    func register(_ port: UInt16, serial: Int) {
      TokenTests.register(
        [Topology.Client(name: "bot", host: "127.0.0.1", port: port)], on: server, serial: serial)
    }
    register(try #require(bot.peer.localPort), serial: 1)
    for _ in 0..<2 { #expect(bot.ask(Self.call)?.status == 200) }
    #expect(other.ask(Self.call)?.status == 403)
    #expect(bot.ask(Self.call)?.status == 200)
    register(try #require(other.peer.localPort), serial: 2)
    #expect(bot.ask(Self.call)?.status == 403)
    #expect(other.ask(Self.call)?.status == 200)
  }

  @Test("a head that comes in pieces is read like one that comes whole")
  func pieces() throws {
    let server = try Self.server()
    let peer = try HTTPPeer(port: server.port)
    for cut in [1, 5, Self.call.count - 6, Self.call.count - 1] {
      #expect(peer.ask(Self.call)?.status == 200)
      peer.send(Array(Self.call.prefix(cut)))
      #expect(peer.ask(Array(Self.call.dropFirst(cut)))?.body == #"{"result":3}"#)
    }
  }
}
