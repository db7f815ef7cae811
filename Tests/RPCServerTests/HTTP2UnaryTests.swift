import RPCNetwork
import RPCSystem
import RPCTransport
import RPCWire
import TestSupport
import Testing

@testable import RPCServer

/// Connect's unary protocol over HTTP/2, which curl and browsers speak inside TLS: what is said is what HTTP/1.1 says.
@Suite("JSON over HTTP/2")
struct HTTP2UnaryTests {
  @Test("Connect's formats are spoken over HTTP/2 too")
  func connect() throws {
    let server = try TestServer()
    let peer = try HTTP2Peer(port: server.port)
    let json = peer.call(
      HTTP2Peer.head("/math/add", type: "application/json"), Array(#"{"arg1":1,"arg2":2}"#.utf8))
    #expect(String(decoding: json.body, as: UTF8.self) == #"{"result":3}"#)
    #expect(json.fields["content-type"] == "application/json")
    let proto = peer.call(HTTP2Peer.head("/math/add", type: "application/proto"), [0x08, 1, 0x10, 2])
    #expect(proto.body == [0x08, 3])
    let wrong = peer.call(HTTP2Peer.head("/math/nothing", type: "application/json"), Array("{}".utf8))
    #expect(wrong.fields[":status"] == "404")
    #expect(String(decoding: wrong.body, as: UTF8.self).contains(#""code":"unimplemented""#))
  }

  private static let origin = ("origin", "http://evil.example")

  @Test(
    "what is refused is refused in words, with the status that HTTP/1.1 has",
    arguments: [
      ("POST", "/math/add", nil, [], "415", "not none, which any page could send"),
      ("POST", "/math/add", "text/plain", [], "415", "not 'text/plain', which any page could send"),
      ("POST", "/math/add", "application/xml", [], "415", "'application/json', not 'application/xml'"),
      ("POST", "/math/add", "application/json", [("content-encoding", "gzip")], "415", "not compressed here"),
      ("POST", "/math/add", "application/proto", [("content-encoding", "br")], "415", "not compressed here"),
      ("POST", "/math/add", "application/json", [origin], "403", "--allow-origin"),
      ("POST", "/math/add", nil, [origin], "403", "--allow-origin"),
      ("POST", "/math/add", "application/json", [("authorization", "Bearer x")], "401", "32 bytes in base64"),
      ("POST", "/math/add", nil, [("authorization", "Basic eDp5")], "401", "not 'Bearer TOKEN'"),
      ("POST", "/math/ad", "application/json", [], "404", "did you mean 'add'?"),
      ("POST", "/math", "application/json", [], "404", "a procedure is at /SERVICE/PROCEDURE"),
      ("POST", "/math/add", "application/json", [("x-bin", "!")], "400", "'x-bin' is not base64"),
      ("DELETE", "/math/add", nil, [], "405", "called with POST"),
      ("GET", "/math/add", nil, [], "405", "?connect=v1&encoding=json&message=ARGUMENTS"),
      ("GET", "/nowhere", nil, [], "405", "?connect=v1&encoding=json&message=ARGUMENTS"),
    ] as [(String, String, String?, [(String, String)], String, String)])
  func refusals(
    _ method: String, _ path: String, _ type: String?, _ more: [(String, String)], _ status: String,
    _ words: String
  ) throws {
    let server = try TestServer()
    let peer = try HTTP2Peer(port: server.port)
    let head = HTTP2Peer.head(path, method: method, type: type ?? "", more)
    let answer = peer.call(head.filter { $0.0 != "content-type" || type != nil }, Array("[1,2]".utf8))
    let body = String(decoding: answer.body, as: UTF8.self)
    #expect(answer.fields[":status"] == status && answer.fields["content-type"] == "application/json")
    #expect(body.contains(words) && (try? Value(json: body)) != nil, "\(body)")
    #expect((answer.fields["www-authenticate"] == "Bearer") == (status == "401"))
    #expect((answer.fields["allow"] != nil) == (status == "405"))
    #expect(answer.fields["x-content-type-options"] == "nosniff")
    // The connection goes on.
    #expect(peer.call("/math/add", HTTP2Peer.add(1, 2)).status == 0)
  }

  /// A request without a body.
  private func ask(
    _ peer: HTTP2Peer, _ method: String, _ path: String, _ more: [(String, String)] = []
  ) -> (status: String?, body: String, fields: [String: String]) {
    let stream = peer.takeStream()
    let fields = [
      (":method", method), (":scheme", "http"), (":authority", "127.0.0.1"), (":path", path),
    ]
    peer.socket.send(HTTP2Peer.frame(1, 5, stream, HTTP2Peer.block(fields + more)))
    let answer = peer.answer(on: stream)
    return (answer.fields[":status"], String(decoding: answer.body, as: UTF8.self), answer.fields)
  }

  @Test("calls with GET are those of HTTP/1.1: of idempotent procedures, with a token or --allow-get")
  func get() throws {
    let json = "/math/add?connect=v1&encoding=json&message=%5B1,2%5D"
    let closed = try TestServer()
    let refused = ask(try HTTP2Peer(port: closed.port), "GET", json)
    #expect(refused.status == "405" && refused.body.contains("--allow-get"), "\(refused)")
    let open = try TestServer { $0.allowsGet = true }
    let peer = try HTTP2Peer(port: open.port)
    #expect(ask(peer, "GET", json).body == #"{"result":3}"#)
    let spaces = String(repeating: "%20", count: 2000)
    #expect(ask(peer, "GET", json + spaces).body == #"{"result":3}"#, "a path of several KiB is read whole")
    let proto = ask(peer, "GET", "/math/add?connect=v1&encoding=proto&base64=1&message=CAEQAg")
    #expect(proto.body == "\u{8}\u{3}" && proto.fields["content-type"] == "application/proto")
    #expect(ask(peer, "GET", json.replacing("1,2", with: "1")).status == "400")
    #expect(ask(peer, "GET", json.replacing("add", with: "ad")).status == "404")
    let writing = ask(peer, "GET", "/text/echo?connect=v1&encoding=json&message=%5B%22a%22%5D")
    #expect(writing.status == "405" && writing.body.contains("not declared idempotent"))
    #expect(ask(peer, "GET", json, [Self.origin]).status == "403")
    #expect(ask(peer, "GET", json, [("sec-fetch-site", "cross-site")]).status == "403")
    #expect(ask(peer, "GET", "/system/deploy_status?encoding=json&message=[]").status == "404")
    let head = ask(peer, "HEAD", json)
    #expect(head.status == "405" && head.body.isEmpty)
    TokenTests.register([.init(name: "bot", token: TokenTests.digest(TokenTests.token))], on: closed)
    let token = [("authorization", "Bearer \(TokenTests.token)")]
    #expect(ask(try HTTP2Peer(port: closed.port), "GET", json, token).body == #"{"result":3}"#)
    #expect(open.server.core.memory.heldBytes == 0, "nothing of them is left")
  }

  @Test("a browser that asks first is told what an origin may send, and one that was not opened is refused")
  func preflight() throws {
    let server = try TestServer { $0.allowedOrigins = ["https://app.example"] }
    let peer = try HTTP2Peer(port: server.port)
    let fields = [("origin", "https://app.example"), ("access-control-request-method", "POST")]
    let answer = ask(peer, "OPTIONS", "/math/add", fields)
    #expect(
      answer.status == "204" && answer.fields["access-control-allow-origin"] == "https://app.example")
    for field in ["content-type", "authorization", "traceparent", "grpc-timeout"] {
      #expect(answer.fields["access-control-allow-headers"]?.contains(field) == true)
    }
    #expect(answer.fields["access-control-allow-methods"] == "GET, POST")
    #expect(ask(peer, "OPTIONS", "/math/add", [Self.origin]).status == "403")
    let plain = ask(peer, "OPTIONS", "/math/add")
    #expect(plain.status == "204" && plain.fields["allow"] == "GET, HEAD, POST, OPTIONS")
    // An error too can be read by the page.
    let head = HTTP2Peer.head("/math/add", type: "text/plain", [("origin", "https://app.example")])
    let wrong = peer.call(head, [])
    #expect(wrong.fields["access-control-allow-origin"] == "https://app.example")
  }

  @Test("a client whose body is on its way is answered, and not cut off before the frame timeout")
  func answeredEarly() throws {
    let clock = ManualClock()
    let server = try TestServer {
      $0.clock = clock
      $0.frameTimeoutMilliseconds = 1000
    }
    let peer = try HTTP2Peer(port: server.port)
    for ends in [true, false] {
      let stream = peer.takeStream()
      let head = HTTP2Peer.block(HTTP2Peer.head("/math/add", type: "text/plain"))
      peer.socket.send(HTTP2Peer.frame(1, 4, stream, head))
      #expect(peer.answer(on: stream).fields[":status"] == "415")
      peer.socket.send(HTTP2Peer.frame(0, ends ? 1 : 0, stream, [1, 2, 3]))
      #expect(peer.call("/math/add", HTTP2Peer.add(1, 2)).status == 0)
      #expect(!peer.frames.contains { $0.type == 3 }, "curl would take a reset for a failure")
    }
    clock.advance(by: .milliseconds(1001))
    #expect(peer.next { $0.type == 3 }?.errorCode == 0)
    // A client of gRPC is stopped at once.
    let stream = peer.takeStream()
    peer.socket.send(
      HTTP2Peer.frame(1, 4, stream, HTTP2Peer.block(HTTP2Peer.head("/math/nothing"))))
    #expect(peer.next { $0.type == 3 && $0.stream == stream }?.errorCode == 0)
  }
}
