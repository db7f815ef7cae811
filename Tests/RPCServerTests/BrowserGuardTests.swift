import HTTPTypes
import Testing

@testable import RPCServer

/// What a page of somebody else's may not do, request by request.
@Suite("Pages of others")
struct BrowserGuardTests {
  static let hosts: [(String, Bool)] = [
    ("127.0.0.1", true), ("127.0.0.1:8181", true), ("[::1]", true), ("[::1]:8181", true), ("10.0.0.7", true),
    ("localhost", true), ("LocalHost:1", true), ("localhost.", true), ("node.example", true),
    ("NODE.example:80", true),
    ("node.example.", true), ("evil.example", false), ("node.example.evil", false), ("localhost.evil", false),
    ("127.0.0.1.evil.example", false), ("", false), (":80", false), ("127.0.0.1:x", false), ("::1", false),
    ("[::1", false), ("[evil]", false), ("127.0.0.1:123456", false), ("127.1", false), ("0x7f.0.0.1", false),
    ("2130706433", false), ("user@127.0.0.1", false), ("127.0.0.1 evil", false),
  ]

  @Test("a Host is an address, localhost or a name of this server", arguments: hosts.indices)
  func host(index: Int) {
    let (host, isTaken) = Self.hosts[index]
    let guardian = BrowserGuard(hosts: ["node.example"], origins: [])
    #expect(guardian.takes(host: host) == isTaken)
  }

  static let wildcards: [(String, Bool)] = [
    ("a.example.org", true), ("A.Example.org:443", true), ("example.org", false), ("a.b.example.org", false),
    (".example.org", false), ("*.example.org", false), ("a.example.org.evil", false),
  ]

  @Test("a certificate's name for all hosts of a domain stands for one label", arguments: wildcards.indices)
  func wildcard(index: Int) {
    let (host, isTaken) = Self.wildcards[index]
    #expect(BrowserGuard(hosts: ["*.example.org"], origins: []).takes(host: host) == isTaken)
  }

  static let origins: [(String?, String?, String?)] = [
    (nil, nil, nil), (nil, "none", nil), (nil, "same-origin", nil),
    ("http://127.0.0.1:8181", "same-origin", nil),
    ("https://127.0.0.1:8181", nil, nil), ("https://app.example", "cross-site", "https://app.example"),
    ("https://APP.example", nil, "https://APP.example"),
    ("http://127.0.0.1:9000", "same-site", "refused"), ("http://127.0.0.1", nil, "refused"),
    ("http://app.example", "cross-site", "refused"), ("https://app.example.evil", nil, "refused"),
    ("null", nil, "refused"), ("", nil, "refused"), ("file://", nil, "refused"),
    (nil, "cross-site", "refused"), (nil, "same-site", "refused"), (nil, "Cross-Site", "refused"),
    (nil, "whatever comes", "refused"), ("http://127.0.0.1:8181", "cross-site", "refused"),
  ]

  @Test("an origin is this server's own or one that was opened", arguments: origins.indices)
  func origin(index: Int) {
    let (origin, site, expected) = Self.origins[index]
    let guardian = BrowserGuard(hosts: [], origins: ["https://app.example"])
    let found: String?
    do {
      found = try guardian.check(origin: origin, site: site, host: "127.0.0.1:8181")
    } catch {
      found = "refused"
      #expect(error.status.code == 403)
    }
    #expect(found == expected)
  }

  @Test("requests that a page can send without asking are refused, whatever they ask for")
  func simpleRequests() throws {
    let server = try TestServer { $0.allowsGet = true }
    let peer = try HTTPPeer(port: server.port)
    let body = "[1,2]"
    for type in [
      "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "",
      "TEXT/Plain;a=b",
    ] {
      let answer = peer.ask(HTTPPeer.request("POST", "/math/add", ["content-type: \(type)"], body: body))
      #expect(answer?.status == 415, "\(type)")
    }
    #expect(peer.ask(HTTPPeer.request("POST", "/math/add", body: body))?.status == 415)
    for type in [
      "application/xml", "application/json; charset=latin1", "application/connect+json",
    ] {
      #expect(
        peer.ask(HTTPPeer.request("POST", "/math/add", ["content-type: \(type)"], body: body))?.status == 415)
    }
    for type in [
      "Application/JSON", "application/json;charset=utf-8", "application/json ; charset=\"UTF-8\"",
    ] {
      #expect(
        peer.ask(HTTPPeer.request("POST", "/math/add", ["content-type: \(type)"], body: body))?.status == 200)
    }
    for field in [
      "origin: http://evil.example", "origin: null", "sec-fetch-site: cross-site",
      "sec-fetch-site: same-site",
    ] {
      #expect(peer.ask(HTTPPeer.call("/math/add", body, [field]))?.status == 403, "\(field)")
      let get = HTTPPeer.request("GET", "/math/add?connect=v1&encoding=json&message=%5B1,2%5D", [field])
      #expect(peer.ask(get)?.status == 403, "\(field)")
      #expect(peer.ask(HTTPPeer.request("GET", "/metrics", [field]))?.status == 403, "\(field)")
      #expect(peer.ask(HTTPPeer.request("OPTIONS", "/math/add", [field]))?.status == 403, "\(field)")
      #expect(peer.ask(HTTPPeer.request("GET", "/healthz", [field]))?.status == 200, "\(field)")
    }
    #expect(peer.ask(HTTPPeer.call("/math/add", body, host: "evil.example"))?.status == 403)
    #expect(peer.ask(HTTPPeer.request("GET", "/metrics", host: "evil.example"))?.status == 403)
    #expect(peer.ask(HTTPPeer.request("GET", "/healthz", host: "evil.example"))?.status == 200)
    #expect(peer.ask(HTTPPeer.call("/math/add", body))?.status == 200)
  }

  @Test("an origin and a name that were opened deliberately are answered, and asked for as browsers ask")
  func opened() throws {
    let server = try TestServer {
      $0.allowedOrigins = ["https://app.example"]
      $0.allowedHosts = ["node.example"]
    }
    let peer = try HTTPPeer(port: server.port)
    let origin = "origin: https://app.example"
    let preflight = try #require(
      peer.ask(
        HTTPPeer.request(
          "OPTIONS", "/math/add",
          [origin, "sec-fetch-site: cross-site", "access-control-request-method: POST"])))
    #expect(preflight.status == 204 && preflight["access-control-allow-origin"] == "https://app.example")
    #expect(preflight["access-control-allow-headers"]?.contains("content-type") == true)
    #expect(preflight["vary"] == "origin")
    let answer = try #require(
      peer.ask(
        HTTPPeer.call("/math/add", "[1,2]", [origin, "sec-fetch-site: cross-site"], host: "node.example:80")))
    #expect(answer.body == #"{"result":3}"# && answer["access-control-allow-origin"] == "https://app.example")
    // An error too can be read by the page.
    let wrong = try #require(peer.ask(HTTPPeer.call("/math/ad", "[1,2]", [origin])))
    #expect(wrong.status == 404 && wrong["access-control-allow-origin"] == "https://app.example")
  }

  @Test("calls with GET take an idempotent procedure, and a token or --allow-get")
  func get() throws {
    let target = "/math/add?connect=v1&encoding=json&message=%7B%22arg1%22%3A1%2C%22arg2%22%3A2%7D"
    let closed = try TestServer()
    let refused = try HTTPPeer(port: closed.port)
    let answer = try #require(refused.ask(HTTPPeer.request("GET", target)))
    #expect(answer.status == 405 && answer.body.contains("--allow-get"))
    let open = try TestServer { $0.allowsGet = true }
    let peer = try HTTPPeer(port: open.port)
    #expect(peer.ask(HTTPPeer.request("GET", target))?.body == #"{"result":3}"#)
    let base64 = "/math/add?message=WzEsMl0&base64=1&encoding=json&connect=v1"
    #expect(peer.ask(HTTPPeer.request("GET", base64))?.body == #"{"result":3}"#)
    let proto = "/math/add?connect=v1&encoding=proto&base64=1&message=CAEQAg"
    #expect(peer.ask(HTTPPeer.request("GET", proto))?.body == "\u{8}\u{3}")
    let writing = peer.ask(HTTPPeer.request("GET", "/text/echo?connect=v1&encoding=json&message=[]"))
    #expect(writing?.status == 405 && writing?.body.contains("not declared idempotent") == true)
    for (query, status) in [
      ("", 405), ("?connect=v1", 405), ("?encoding=json", 405), ("?connect=v2&encoding=json&message=[]", 400),
      ("?encoding=xml&message=", 415), ("?encoding=proto&message=%08", 400),
      ("?encoding=json&message=%zz", 400),
      ("?encoding=json&message=[1,2]&message=[1,3]", 400),
      ("?encoding=json&message=[1,2]&compression=gzip", 501),
      ("?encoding=json&message=!!&base64=1", 400), ("?encoding=json&message=[1,2]&compression=identity", 200),
    ] {
      #expect(peer.ask(HTTPPeer.request("GET", "/math/add\(query)"))?.status == status, "\(query)")
    }
  }
}
