import Foundation
import Glibc
import RPCTLS
import RPCTransport
import RPCWire
import TestSupport
import Testing

@testable import RPCServer

@Suite("A server's TLS, as hostile and mistaken peers see it")
struct TLSServerTests {
  /// What a handshake begins with: a record of 512 bytes, of which no more comes.
  private static let beginning: [UInt8] = [22, 3, 1, 2, 0]

  private static func server(
    _ directory: TemporaryDirectory, _ change: (inout ServerOptions) -> Void = { _ in }
  ) throws -> TestServer {
    try TestServer { options in
      options.dataDirectory = directory.file("data")
      options.tls.mode = .required
      change(&options)
    }
  }

  @Test("a handshake that does not go on is ended after the handshake timeout", arguments: [1, 2, 5])
  func slowHandshake(count: Int) throws {
    let directory = TemporaryDirectory()
    let server = try Self.server(directory) { $0.handshakeTimeoutMilliseconds = 100 }
    let peer = try RawPeer(port: server.port)
    peer.send(Array(Self.beginning.prefix(count)))
    // Before it is known to be TLS the last words are a line of json.
    let said = String(decoding: peer.everything(), as: UTF8.self)
    #expect(count == 1 ? said.contains("handshake timeout") : said.isEmpty)
  }

  @Test("handshakes that strangers leave unfinished are bounded together by their share of the memory")
  func memory() throws {
    let directory = TemporaryDirectory()
    let server = try Self.server(directory) {
      $0.loops = 1
      // A quarter of it is ten handshakes.
      $0.memoryBytes = 4 * 10 * 48 * 1024
    }
    let peers = try (0..<20).map { _ in
      let peer = try RawPeer(port: server.port)
      peer.send(Self.beginning)
      return peer
    }
    #expect(peers[19].isClosed())
    #expect(peers[0].hearsNothing(milliseconds: 1))
  }

  @Test("a plain client is told in its dialect that TLS is needed, and nothing that it asks is done")
  func plain() throws {
    let directory = TemporaryDirectory()
    let server = try Self.server(directory)
    let json = try RawPeer(port: server.port)
    json.send(
      Array((#"{"header":"RPC-REQ","value":{"service":"math","rpc":"add","arguments":[1,2]}}"# + "\n").utf8))
    let line = try #require(json.nextLine())
    #expect(line.contains("this port speaks TLS only") && line.contains("Unauthenticated"))
    #expect(json.nextLine() == nil)
    let native = try RawPeer(port: server.port)
    native.send { queue in
      queue.append(Preface.bytes)
      Hello(agent: "test").encode(to: &queue)
    }
    let frame = try #require(native.next())
    #expect(frame.header.kind == FrameKind.error.rawValue)
    #expect(native.next() == nil)
    let http = try HTTPPeer(port: server.port)
    let answer = http.ask(HTTPPeer.call("/math/add", "[1,2]"))
    #expect(answer?.status == 400 && answer?.body.contains("use https://") == true)
    #expect(answer?["www-authenticate"] == nil && http.peer.isClosed())
  }

  @Test(
    "a plain client of HTTP/2 is told so by an answer to its request: a GOAWAY alone would make gRPC's try for ever",
    arguments: ["application/grpc", "application/grpc-web", "application/json"])
  func plainHTTP2(type: String) throws {
    let directory = TemporaryDirectory()
    let server = try Self.server(directory)
    let peer = try HTTP2Peer(port: server.port)
    let answer = peer.call(HTTP2Peer.head("/math/add", type: type), HTTP2Peer.add(1, 2))
    let said =
      (answer.message ?? "") + (String(decoding: answer.body, as: UTF8.self).removingPercentEncoding ?? "")
    #expect(said.contains("this port speaks TLS only"), "\(answer)")
    #expect(type != "application/grpc" || answer.status == 16)
    #expect(type != "application/json" || answer.fields[":status"] == "400")
    while peer.next() != nil {}
    #expect(peer.socket.isClosed())
    #expect(peer.frames.contains { $0.type == 7 })
    let page = try HTTP2Peer(port: server.port)
    let stream = page.takeStream()
    let head = [(":method", "GET"), (":scheme", "http"), (":authority", "127.0.0.1"), (":path", "/metrics")]
    page.socket.send(HTTP2Peer.frame(1, 5, stream, HTTP2Peer.block(head)))
    #expect(page.answer(on: stream).fields[":status"] == "400")
  }

  @Test("the names of the certificate are this server's over HTTP, those of the one before are not")
  func hostNames() throws {
    let directory = TemporaryDirectory()
    func write(_ hosts: [String]) throws {
      let key = try TLSIdentity.makeKey()
      let chain = try TLSIdentity.makeCertificate(
        key: key, name: "test", addresses: ["10.0.0.1"], hosts: hosts)
      try directory.write(String(decoding: chain, as: UTF8.self), to: "certificate.pem")
      chmod(try directory.write(String(decoding: key, as: UTF8.self), to: "key.pem"), 0o600)
    }
    try write(["node.test", "*.sub.test"])
    let server = try TestServer { options in
      options.loops = 1
      options.tls.mode = .offered
      options.tls.certificates = [
        .init(certificate: directory.file("certificate.pem"), key: directory.file("key.pem"))
      ]
    }
    func status(_ host: String) throws -> Int? {
      try HTTPPeer(port: server.port).ask(HTTPPeer.call("/math/add", "[1,2]", host: host))?.status
    }
    for (host, expected) in [
      ("node.test", 200), ("NODE.test:8181", 200), ("a.sub.test", 200), ("sub.test", 403),
      ("other.test", 403),
    ] {
      #expect(try status(host) == expected, "\(host)")
    }
    try write(["other.test"])
    server.server.reload()
    // The loop has taken the names when it answers what came behind them.
    #expect(try status("127.0.0.1") == 200)
    #expect(try status("other.test") == 200)
    #expect(try status("node.test") == 403)
  }

  @Test("a handshake where there is no TLS is answered with a line that says so")
  func off() throws {
    let server = try TestServer()
    let peer = try RawPeer(port: server.port)
    peer.send(Self.beginning)
    #expect(String(decoding: peer.everything(), as: UTF8.self).contains("this port speaks no TLS"))
  }

  @Test("without files and without a data directory there is no TLS, and the server says why")
  func nothingToShow() {
    #expect(throws: (any Error).self) { try TestServer { $0.tls.mode = .offered } }
  }
}
