import RPCProcedures
import RPCServer
import RPCWire
import Testing

@Suite("HTTP/1.1, from outside")
struct HTTPSessionTests {
  static let calls: [(path: String, body: String, status: Int, answer: String)] = [
    ("/math/add", #"{"arg1":1,"arg2":2}"#, 200, #"{"result":3}"#),
    ("/math/add", #"{"arg2":2,"arg1":1}"#, 200, #"{"result":3}"#),
    ("/math/add", "[1,2]", 200, #"{"result":3}"#), ("/math/add", " [ 1 , 2 ] ", 200, #"{"result":3}"#),
    ("/m%61th/add", "[1,2]", 200, #"{"result":3}"#),
    ("/math/add", #"["1","2"]"#, 200, #"{"result":3}"#),
    ("/math/add", "[9007199254740992,0]", 200, #"{"result":9007199254740992}"#),
    ("/math/add", "[9007199254740992,1]", 200, #"{"result":"9007199254740993"}"#),
    ("/math/add", #"["-9007199254740993",0]"#, 200, #"{"result":"-9007199254740993"}"#),
    ("/text/echo", #"{"arg1":"h\u00e9 \ud83c\udf0d"}"#, 200, #"{"result":"hé 🌍"}"#),
    ("/data/echo", #"{"arg1":"AQI="}"#, 200, #"{"result":"AQI="}"#),
    (
      "/any/echo", #"[{"a":[1,null,true,"9007199254740993"]}]"#, 200,
      #"{"result":{"a":[1,null,true,"9007199254740993"]}}"#
    ),
    ("/any/echo", #"[{"$bytes":"AQI="}]"#, 200, #"{"result":{"$bytes":"AQI="}}"#),
    ("/list/sum", #"{"arg1":[1,"2",3]}"#, 200, #"{"result":6}"#),
    ("/system/ping", "{}", 200, #"{"result":"pong"}"#), ("/system/ping", "", 200, #"{"result":"pong"}"#),
  ]

  @Test("a call is answered, its arguments by name or by position", arguments: calls.indices)
  func answers(index: Int) throws {
    let server = try TestServer()
    let peer = try HTTPPeer(port: server.port)
    let call = Self.calls[index]
    let answer = try #require(peer.ask(HTTPPeer.call(call.path, call.body)))
    #expect(answer.status == call.status)
    #expect(answer.body == call.answer)
    #expect(answer["content-type"] == "application/json")
    #expect(answer["date"]?.hasSuffix("GMT") == true)
    #expect(answer["x-content-type-options"] == "nosniff")
  }

  static let refusals:
    [(path: String, body: String, status: Int, code: String, exception: String, message: String)] = [
      ("/maths/add", "[1,2]", 404, "unimplemented", "ServiceNotFound", "did you mean 'math'?"),
      ("/math/ad", "[1,2]", 404, "unimplemented", "RPCNotFound", "did you mean 'add'?"),
      ("/math", "[1,2]", 404, "unimplemented", "RPCNotFound", "/SERVICE/PROCEDURE"),
      ("/math/add/x", "[1,2]", 404, "unimplemented", "RPCNotFound", "/SERVICE/PROCEDURE"),
      ("//add", "[1,2]", 404, "unimplemented", "RPCNotFound", "/SERVICE/PROCEDURE"),
      ("/math/%zz", "[1,2]", 404, "unimplemented", "RPCNotFound", "/SERVICE/PROCEDURE"),
      ("/math/add", "[1]", 400, "invalid_argument", "InvalidArguments", "does not take 1 argument"),
      (
        "/math/add", "{\"arg1\":1}", 400, "invalid_argument", "InvalidArguments",
        "the argument 'arg2' is missing"
      ),
      (
        "/math/add", "{\"arg1\":1,\"arg3\":2}", 400, "invalid_argument", "InvalidArguments",
        "no argument 'arg3'"
      ),
      ("/math/add", "{\"arg1\":1,\"arg1\":2}", 400, "invalid_argument", "InvalidArguments", "occurs twice"),
      ("/math/add", "[1,\"x\"]", 400, "invalid_argument", "InvalidArguments", "argument 2"),
      ("/math/add", "[1,2", 400, "invalid_argument", "InvalidArguments", "not JSON"),
      ("/math/add", "3", 400, "invalid_argument", "InvalidArguments", "an object of arguments by name"),
      ("/math/add", "[1,2.5]", 400, "invalid_argument", "InvalidArguments", "expected int"),
      ("/test/raise", "[]", 500, "unknown", "ExecutionException", "no, and no again"),
      ("/system/deploy_status", "[]", 404, "unimplemented", "RPCNotFound", "catalogue, ping, stats"),
      ("/system/topology", "[]", 404, "unimplemented", "RPCNotFound", "catalogue, ping, stats"),
      ("/system/source", "[]", 404, "unimplemented", "RPCNotFound", "catalogue, ping, stats"),
    ]

  @Test(
    "what fails is said as Connect says it, with what the other dialects say", arguments: refusals.indices)
  func refuses(index: Int) throws {
    let server = try TestServer()
    let peer = try HTTPPeer(port: server.port)
    let one = Self.refusals[index]
    let answer = try #require(peer.ask(HTTPPeer.call(one.path, one.body)))
    #expect(answer.status == one.status)
    #expect(answer.code == one.code && answer.exception == one.exception, "\(answer.body)")
    #expect(answer.body.contains(one.message), "\(answer.body)")
    // The connection goes on.
    #expect(peer.ask(HTTPPeer.call("/math/add", "[1,2]"))?.body == #"{"result":3}"#)
  }

  @Test("a Connect client leaves out what is zero, and a person who writes by hand is told what is missing")
  func zeros() throws {
    let server = try TestServer()
    let peer = try HTTPPeer(port: server.port)
    let connect = ["connect-protocol-version: 1"]
    #expect(peer.ask(HTTPPeer.call("/math/add", "{}", connect))?.body == #"{"result":0}"#)
    #expect(peer.ask(HTTPPeer.call("/list/sum", "{}", connect))?.body == #"{"result":0}"#)
    #expect(peer.ask(HTTPPeer.call("/text/echo", "{}", connect))?.body == #"{"result":""}"#)
    #expect(peer.ask(HTTPPeer.call("/math/add", "{}"))?.status == 400)
    #expect(
      peer.ask(HTTPPeer.call("/math/add", "{}", ["connect-protocol-version: 2"]))?.code == "invalid_argument")
  }

  @Test("100 requests that come at once are answered in their order, refused ones and slow ones among them")
  func pipelined() throws {
    let server = try TestServer()
    let peer = try HTTPPeer(port: server.port)
    var bytes: [UInt8] = []
    for index in 0..<100 {
      switch index % 4 {
      case 0: bytes += HTTPPeer.call("/math/add", "[\(index),0]")
      case 1: bytes += HTTPPeer.call("/list/sum", "[[\(index)]]")
      case 2: bytes += HTTPPeer.call("/math/nothing\(index)", "[]")
      default: bytes += HTTPPeer.request("GET", "/healthz")
      }
    }
    peer.send(bytes)
    for index in 0..<100 {
      let answer = try #require(peer.next(), "no answer \(index)")
      switch index % 4 {
      case 0, 1: #expect(answer.body == "{\"result\":\(index)}")
      case 2: #expect(answer.status == 404 && answer.body.contains("nothing\(index)"))
      default: #expect(answer.body == "{\"status\":\"serving\"}\n")
      }
    }
  }

  @Test("a head that came before is known again for what it is, and one that begins like it is another")
  func knownHeads() throws {
    let server = try TestServer { $0.loops = 1 }
    let peers = try (0..<2).map { _ in try HTTPPeer(port: server.port) }
    for turn in 0..<3 {
      for peer in peers {
        let same = HTTPPeer.call("/math/add", "[1,\(turn)]")
        for cut in [0, 5, same.count - 8, same.count - 1] {
          peer.send(Array(same[..<cut]))
          peer.send(Array(same[cut...]))
          #expect(peer.next()?.body == "{\"result\":\(1 + turn)}")
        }
        #expect(peer.ask(HTTPPeer.call("/math/add", "[1,2]", ["x: y"]))?.body == #"{"result":3}"#)
        #expect(peer.ask(HTTPPeer.call("/text/echo", #"["a"]"#))?.body == #"{"result":"a"}"#)
        #expect(peer.ask(HTTPPeer.call("/math/add", "[1,2]", host: "evil.test"))?.status == 403)
        #expect(peer.ask(HTTPPeer.call("/math/add", "[1,2]", ["authorization: Bearer x"]))?.status == 401)
        // A body that is wrong leaves the head as it is.
        #expect(peer.ask(HTTPPeer.call("/math/add", "[1 2]"))?.status == 400)
      }
    }
    let last = peers[0].ask(HTTPPeer.call("/math/add", "[1,2]", ["connection: close"]))
    #expect(last?.body == #"{"result":3}"# && peers[0].peer.isClosed())
    let again = peers[1].ask(HTTPPeer.call("/math/add", "[1,2]", ["connection: close"]))
    #expect(again?.body == #"{"result":3}"# && peers[1].peer.isClosed())
  }

  @Test("every byte may come alone")
  func singleBytes() throws {
    let server = try TestServer()
    let peer = try HTTPPeer(port: server.port)
    for byte in HTTPPeer.call("/math/add", "[20,22]") { peer.send([byte]) }
    #expect(peer.next()?.body == #"{"result":42}"#)
    let chunked = HTTPPeer.request(
      "POST", "/math/add", ["content-type: application/json", "transfer-encoding: chunked"])
    for byte in chunked + Array("2\r\n[1\r\n3\r\n,2]\r\n0\r\n\r\n".utf8) { peer.send([byte]) }
    #expect(peer.next()?.body == #"{"result":3}"#)
  }

  @Test("a client that waits for it is told to go on, and one whose call is refused is not")
  func expectation() throws {
    let server = try TestServer()
    let fields = ["content-type: application/json", "expect: 100-continue", "content-length: 5"]
    let peer = try HTTPPeer(port: server.port)
    #expect(peer.ask(HTTPPeer.request("POST", "/math/add", fields))?.status == 100)
    #expect(peer.ask(Array("[1,2]".utf8))?.body == #"{"result":3}"#)
    // Whose body is there already is told nothing.
    peer.send(HTTPPeer.request("POST", "/math/add", fields) + Array("[1,2]".utf8))
    #expect(peer.next()?.status == 200)
    let refused = try #require(peer.ask(HTTPPeer.request("POST", "/math/ad", fields)))
    #expect(refused.status == 404 && refused["connection"] == "close")
    #expect(peer.peer.isClosed())
  }

  @Test("HEAD gets the head that GET gets")
  func head() throws {
    let server = try TestServer()
    let peer = try HTTPPeer(port: server.port)
    for path in ["/", "/healthz"] {
      let get = try #require(peer.ask(HTTPPeer.request("GET", path)))
      let head = try #require(peer.ask(HTTPPeer.request("HEAD", path), isHead: true))
      #expect(get.body.utf8.count > 0 && head["content-length"] == "\(get.body.utf8.count)")
    }
    #expect(peer.ask(HTTPPeer.request("HEAD", "/metrics"), isHead: true)?.status == 200)
    #expect(peer.ask(HTTPPeer.request("HEAD", "/math/add"), isHead: true)?["allow"] == "POST, OPTIONS")
    #expect(peer.ask(HTTPPeer.call("/math/add", "[1,2]"))?.status == 200)
  }

  @Test("the connection of HTTP/1.0, and of who asks for it, ends with the answer")
  func closing() throws {
    let server = try TestServer()
    let old = try HTTPPeer(port: server.port)
    old.send(
      HTTPPeer.request(
        "POST", "/math/add", ["content-type: application/json"], host: nil, body: "[1,2]", version: "1.0"))
    #expect(old.next()?.body == #"{"result":3}"#)
    #expect(old.peer.isClosed())
    let asking = try HTTPPeer(port: server.port)
    let answer = asking.ask(HTTPPeer.call("/math/add", "[1,2]", ["connection: close"]))
    #expect(answer?["connection"] == "close" && asking.peer.isClosed())
    let metrics = try HTTPPeer(port: server.port)
    metrics.send(HTTPPeer.request("GET", "/metrics", version: "1.0"))
    let page = try #require(metrics.next())
    #expect(page["transfer-encoding"] == nil && page.body.contains("\nsimplerpc_connections "))
  }

  @Test("methods that mean nothing here are refused with those that do")
  func methods() throws {
    let server = try TestServer()
    let peer = try HTTPPeer(port: server.port)
    for method in ["PUT", "DELETE", "PATCH", "TRACE"] {
      let answer = peer.ask(HTTPPeer.request(method, "/math/add"))
      #expect(answer?.status == 405 && answer?["allow"] == "POST, OPTIONS", "\(method)")
    }
    #expect(peer.ask(HTTPPeer.request("POST", "/metrics", body: ""))?["allow"] == "GET, HEAD, OPTIONS")
    #expect(peer.ask(HTTPPeer.request("OPTIONS", "*"))?.status == 204)
  }

  @Test("what is no request is answered with what is wrong and the end, and a neighbour notices nothing")
  func violations() throws {
    let server = try TestServer()
    let neighbour = try Neighbour(port: server.port)
    for (name, status, text) in HTTP1ParserTests.violations where status != 413 {
      // Those that begin with no method are not HTTP.
      guard text.first?.isUppercase == true, name != "a tab for a space" else { continue }
      let peer = try HTTPPeer(port: server.port)
      peer.send(Array(text.utf8))
      let answer = try #require(peer.next(), "\(name)")
      // Some are refused for what they ask before their body is looked at.
      #expect(answer.status == status || answer.status == 403, "\(name): \(answer)")
      #expect(answer["connection"] == "close" && peer.peer.isClosed(), "\(name)")
    }
    #expect(neighbour.wasLeftAlone())
  }

  @Test("a body above --max-json is refused before it comes, just below it is taken")
  func bodyBound() throws {
    let server = try TestServer { $0.jsonBytes = 4096 }
    let peer = try HTTPPeer(port: server.port)
    let text = String(repeating: "x", count: 4096 - #"[""]"#.utf8.count)
    #expect(peer.ask(HTTPPeer.call("/text/echo", "[\"\(text)\"]"))?.status == 200)
    peer.send(
      HTTPPeer.request("POST", "/text/echo", ["content-type: application/json", "content-length: 4097"]))
    let answer = try #require(peer.next())
    #expect(
      answer.status == 413 && answer.body.contains(#""actual":"4097","limit":"4096""#), "\(answer.body)")
    #expect(peer.peer.isClosed())
    let large = try HTTPPeer(port: server.port)
    let result = try #require(large.ask(HTTPPeer.call("/data/fill", "[4096]")))
    #expect(result.status == 429 && result.body.contains(#""executed":"yes""#), "\(result.body)")
  }

  @Test("long arguments and long results are read and written beside the loop, in order")
  func long() throws {
    let server = try TestServer()
    let peer = try HTTPPeer(port: server.port)
    let numbers = (0..<20_000).map(String.init).joined(separator: ",")
    let text = String(repeating: "long ", count: 40_000)
    peer.send(
      HTTPPeer.call("/list/sum", "[[\(numbers)]]")
        + HTTPPeer.call("/any/echo", "[[\"\(text)\",[\(numbers)]]]")
        + HTTPPeer.call("/list/sum", "[[\(numbers),\"x\"]]") + HTTPPeer.call("/math/add", "[1,2]"))
    #expect(peer.next()?.body == "{\"result\":199990000}")
    #expect(peer.next()?.body == "{\"result\":[\"\(text)\",[\(numbers)]]}")
    #expect(peer.next()?.status == 400)
    #expect(peer.next()?.body == #"{"result":3}"#)
  }

  @Test("a call ends when its client does")
  func cancelled() async throws {
    let server = try TestServer()
    var peer: HTTPPeer? = try HTTPPeer(port: server.port)
    peer?.send(HTTPPeer.call("/test/wait", "[]"))
    await server.gate.reached(waiting: 1)
    peer = nil
    await server.gate.reached(waiting: 0, cancelled: 1)
    let half = try HTTPPeer(port: server.port)
    half.send(HTTPPeer.call("/test/wait", "[]"))
    await server.gate.reached(waiting: 1)
    half.peer.endSending()
    await server.gate.reached(waiting: 0, cancelled: 2)
  }

  @Test("who ends its side behind the request still reads the answer of a closure")
  func halfClosed() throws {
    let server = try TestServer()
    let peer = try HTTPPeer(port: server.port)
    peer.send(HTTPPeer.call("/math/add", "[1,2]"))
    peer.peer.endSending()
    #expect(peer.next()?.body == #"{"result":3}"#)
    #expect(peer.peer.isClosed())
    let broken = try HTTPPeer(port: server.port)
    broken.send(Array(HTTPPeer.call("/math/add", "[1,2]").dropLast()))
    broken.peer.endSending()
    #expect(broken.peer.isClosed())
  }

  @Test("a deadline of Connect is kept, and one that is no number refused")
  func deadline() async throws {
    let server = try TestServer()
    let peer = try HTTPPeer(port: server.port)
    let late = try #require(peer.ask(HTTPPeer.call("/test/wait", "[]", ["connect-timeout-ms: 20"])))
    #expect(late.status == 504 && late.code == "deadline_exceeded", "\(late.body)")
    #expect(late.body.contains("its deadline of 20 ms") && late.body.contains(#""executed":"maybe""#))
    for wrong in ["", "-1", "1.5", "12345678901", "x"] {
      #expect(peer.ask(HTTPPeer.call("/math/add", "[1,2]", ["connect-timeout-ms: \(wrong)"]))?.status == 400)
    }
    let longest = peer.ask(HTTPPeer.call("/math/add", "[1,2]", ["connect-timeout-ms: 9999999999"]))
    #expect(longest?.status == 200)
  }

  @Test("while the server drains, a call in flight is answered and its connection ends with it")
  func draining() async throws {
    let server = try TestServer()
    let busy = try HTTPPeer(port: server.port)
    busy.send(HTTPPeer.call("/test/wait", "[]"))
    let idle = try HTTPPeer(port: server.port)
    #expect(idle.ask(HTTPPeer.request("GET", "/healthz"))?.status == 200)
    await server.gate.reached(waiting: 1)
    server.server.beginStopping()
    #expect(idle.peer.isClosed())
    server.gate.open()
    let answer = await busy.nextFromTask()
    #expect(answer?.body == #"{"result":"opened"}"# && answer?["connection"] == "close")
    #expect(busy.peer.isClosed())
  }
}
