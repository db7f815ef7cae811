import RPCProto
import RPCSystem
import RPCTransport
import RPCWire
import SwiftProtobuf
import TestSupport
import Testing

@testable import RPCServer

/// gRPC, frame by frame.
@Suite("gRPC")
struct GRPCTests {
  @Test("a unary call is answered by a message and a status")
  func unary() throws {
    let server = try TestServer()
    let peer = try HTTP2Peer(port: server.port)
    #expect(peer.next()?.type == 4, "the server's SETTINGS come first, before anything is asked")
    for _ in 0..<3 {
      let answer = peer.call("/math/add", HTTP2Peer.add(1, 2))
      #expect(answer.fields[":status"] == "200")
      #expect(answer.fields["content-type"] == "application/grpc")
      #expect(answer.body == HTTP2Peer.message([0x08, 3]))
      #expect(answer.trailers == ["grpc-status": "0"])
    }
  }

  @Test("bytes may come one by one, and a message in many frames")
  func pieces() throws {
    let server = try TestServer()
    let peer = try HTTP2Peer(port: server.port)
    let stream = peer.takeStream()
    let body = HTTP2Peer.add(20, 22)
    var bytes = HTTP2Peer.frame(1, 4, stream, HTTP2Peer.block(HTTP2Peer.head("/math/add")))
    for byte in body { bytes += HTTP2Peer.frame(0, 0, stream, [byte]) }
    // The end may be a frame of its own.
    bytes += HTTP2Peer.frame(0, 1, stream)
    for byte in bytes { peer.socket.send([byte]) }
    #expect(peer.answer(on: stream).body == HTTP2Peer.message([0x08, 42]))
  }

  @Test("the server's own pages are read over HTTP/2 too, by curl in TLS for instance")
  func pages() throws {
    let server = try TestServer()
    let peer = try HTTP2Peer(port: server.port)
    func read(_ path: String, _ method: String = "GET", _ more: [(String, String)] = []) -> HTTP2Peer.Answer {
      let fields = [
        (":method", method), (":scheme", "http"), (":authority", "127.0.0.1"), (":path", path),
      ]
      let stream = peer.takeStream()
      peer.socket.send(HTTP2Peer.frame(1, 5, stream, HTTP2Peer.block(fields + more)))
      return peer.answer(on: stream)
    }
    let health = read("/healthz")
    #expect(health.fields[":status"] == "200" && health.fields["content-type"] == "application/json")
    #expect(String(decoding: health.body, as: UTF8.self) == "{\"status\":\"serving\"}\n")
    #expect(read("/healthz?from=balancer", "HEAD").body.isEmpty)
    #expect(read("/healthz", "GET", [("origin", "http://evil.example")]).fields[":status"] == "200")
    #expect(String(decoding: read("/").body, as: UTF8.self).contains("/SERVICE/PROCEDURE"))
    let metrics = String(decoding: read("/metrics").body, as: UTF8.self)
    #expect(metrics.contains("# TYPE simplerpc_generation gauge\n"), "\(metrics.prefix(300))")
    #expect(metrics.hasSuffix("\n"))
    #expect(read("/metrics", "GET", [("origin", "http://evil.example")]).fields[":status"] == "403")
    #expect(read("/metrics", "DELETE").fields[":status"] == "405")
    #expect(peer.call("/math/add", HTTP2Peer.add(1, 2)).body == HTTP2Peer.message([0x08, 3]))
  }

  @Test(
    "what is refused by its head is refused so",
    arguments: [
      (HTTP2Peer.head("/math/nothing"), "200", 12), (HTTP2Peer.head("/nobody/add"), "200", 12),
      (HTTP2Peer.head("/math/add", method: "GET"), "405", 13),
      (HTTP2Peer.head("/math/add", [("grpc-timeout", "1x")]), "400", 13),
      (HTTP2Peer.head("/math/add", [("grpc-timeout", "123456789S")]), "400", 13),
      (HTTP2Peer.head("/test/wait", [("some-bin", "!")]), "400", 13),
      (HTTP2Peer.head("/math/add", [("grpc-encoding", "gzip")]), "200", 12),
      (HTTP2Peer.head("/math/add", [("origin", "http://evil.example")]), "403", 7),
      (HTTP2Peer.head("/math/add", [("sec-fetch-site", "cross-site")]), "403", 7),
      (HTTP2Peer.head("/system/deploy_begin"), "200", 12),
    ] as [([(String, String)], String, Int)])
  func refusedHeads(_ head: [(String, String)], _ status: String, _ code: Int) throws {
    let server = try TestServer()
    let peer = try HTTP2Peer(port: server.port)
    let answer = peer.call(head, HTTP2Peer.add(1, 2))
    #expect(answer.fields[":status"] == status)
    #expect(answer.status == code)
    #expect(answer.isTrailersOnly)
    if head.contains(where: { $0.0 == "grpc-encoding" }) {
      #expect(answer.fields["grpc-accept-encoding"] == "identity")
    }
    // The connection goes on.
    #expect(peer.call("/math/add", HTTP2Peer.add(1, 2)).status == 0)
  }

  @Test(
    "what is refused by its body is refused so",
    arguments: [
      ([], 12), (HTTP2Peer.add(1, 2) + HTTP2Peer.add(1, 2), 12), ([0, 0, 0], 13),
      (HTTP2Peer.message([1]).dropLast(), 13),
      (HTTP2Peer.message([0x08, 1], flag: 1), 13), (HTTP2Peer.message([0x08, 1], flag: 9), 13),
      (HTTP2Peer.message([0x0a]), 3),
    ] as [([UInt8], Int)])
  func refusedBodies(_ body: [UInt8], _ code: Int) throws {
    let server = try TestServer()
    let peer = try HTTP2Peer(port: server.port)
    #expect(peer.call("/math/add", body).status == code)
    #expect(peer.call("/math/add", HTTP2Peer.add(1, 2)).status == 0)
  }

  @Test("a message above the limit is refused by its prefix, one at the limit is taken")
  func limit() throws {
    let server = try TestServer { $0.frameBytes = 4096 }
    let peer = try HTTP2Peer(port: server.port)
    let stream = peer.takeStream()
    peer.socket.send(
      HTTP2Peer.frame(1, 4, stream, HTTP2Peer.block(HTTP2Peer.head("/data/echo")))
        + HTTP2Peer.frame(0, 0, stream, [0] + HTTP2Peer.number(4097)))
    let answer = peer.answer(on: stream)
    #expect(answer.status == 8)
    #expect(answer.message == "a message of 4097 bytes is larger than the limit of 4096 bytes")
    let content = [UInt8](repeating: 7, count: 4096 - 3)
    let whole = HTTP2Peer.message([0x0a, 0xfd, 0x1f] + content)
    #expect(peer.call("/data/echo", whole).body == whole)
  }

  @Test("an exception tells its kind, what it says, and whether the procedure ran")
  func exception() throws {
    let server = try TestServer()
    let peer = try HTTP2Peer(port: server.port)
    let answer = peer.call("/test/raise", HTTP2Peer.message([]))
    #expect(answer.status == 2)
    #expect(answer.message == "no, and no again")
    let text = try #require(answer.fields["grpc-status-details-bin"])
    #expect(!text.contains("="), "values of -bin are sent without padding")
    let padded = text + String(repeating: "=", count: (4 - text.utf8.count % 4) % 4)
    let details = String(decoding: try #require(Base64.decode(padded)), as: UTF8.self)
    for part in ["google.rpc.ErrorInfo", "ExecutionException", "executed", "yes"] {
      #expect(details.contains(part))
    }
  }

  @Test("a call that waits is answered later, and others meanwhile")
  func later() async throws {
    let server = try TestServer()
    let peer = try HTTP2Peer(port: server.port)
    let waiting = peer.takeStream()
    peer.socket.send(peer.request(waiting, HTTP2Peer.head("/test/wait"), HTTP2Peer.message([])))
    await server.gate.reached(waiting: 1)
    #expect(peer.call("/math/add", HTTP2Peer.add(1, 2)).status == 0)
    server.gate.open()
    let answer = await onThread { peer.answer(on: waiting) }
    #expect(answer.body == HTTP2Peer.message([0x0a, 6] + Array("opened".utf8)))
    #expect(answer.trailers["grpc-status"] == "0")
  }

  @Test("a reset and a lost connection cancel the procedure")
  func cancel() async throws {
    let server = try TestServer()
    var peer: HTTP2Peer? = try HTTP2Peer(port: server.port)
    for _ in 0..<2 {
      let stream = try #require(peer).takeStream()
      let bytes = try #require(peer).request(stream, HTTP2Peer.head("/test/wait"), HTTP2Peer.message([]))
      peer?.socket.send(bytes)
    }
    await server.gate.reached(waiting: 2)
    peer?.socket.send(HTTP2Peer.reset(1))
    await server.gate.reached(waiting: 1, cancelled: 1)
    peer = nil
    await server.gate.reached(waiting: 0, cancelled: 2)
  }

  @Test(
    "a timeout may be as short and as long as can be written, or be missing",
    arguments: [("1n", 4), ("99999999H", 0), ("1H", 0), (nil, 0)] as [(String?, Int)])
  func timeouts(_ text: String?, _ status: Int) throws {
    let server = try TestServer()
    let peer = try HTTP2Peer(port: server.port)
    // A call that takes a turn of the loop: 1 ns is over by then.
    let path = status == 0 ? "/list/sum" : "/test/wait"
    let answer = peer.call(path, HTTP2Peer.message([]), text.map { [("grpc-timeout", $0)] } ?? [])
    #expect(answer.status == status)
  }

  @Test("a deadline ends the call")
  func deadline() async throws {
    let server = try TestServer()
    let peer = try HTTP2Peer(port: server.port)
    let answer = await onThread {
      peer.call("/test/wait", HTTP2Peer.message([]), [("grpc-timeout", "20m")])
    }
    #expect(answer.status == 4)
    await server.gate.reached(waiting: 0, cancelled: 1)
  }

  @Test("gRPC-Web has its trailers in the body, as bytes or as text")
  func web() throws {
    let server = try TestServer()
    let peer = try HTTP2Peer(port: server.port)
    let answer = peer.call(
      HTTP2Peer.head("/math/add", type: "application/grpc-web+proto"), HTTP2Peer.add(1, 2))
    let trailers = Array("grpc-status: 0\r\n".utf8)
    #expect(answer.body == HTTP2Peer.message([0x08, 3]) + HTTP2Peer.message(trailers, flag: 0x80))
    #expect(answer.fields["content-type"] == "application/grpc-web+proto")
    let text = peer.call(
      HTTP2Peer.head("/math/add", type: "application/grpc-web-text"),
      Array(Base64.encode(HTTP2Peer.add(1, 2)).utf8))
    #expect(Base64.decode(String(decoding: text.body, as: UTF8.self)) == answer.body)
    let wrong = peer.call(HTTP2Peer.head("/math/nothing", type: "application/grpc-web"), HTTP2Peer.add(1, 2))
    #expect(String(decoding: wrong.body, as: UTF8.self).contains("grpc-status: 12\r\n"))
  }

  @Test("a deadline of gRPC-Web is kept over HTTP/1.1 too, and one that is none refused")
  func webDeadline() async throws {
    let server = try TestServer()
    for (path, timeout, status) in [
      ("/test/wait", "20m", 4), ("/math/add", "20x", 13), ("/math/add", "1H", 3),
    ] {
      let fields = ["content-type: application/grpc-web", "grpc-timeout: \(timeout)", "connection: close"]
      let peer = try HTTPPeer(port: server.port)
      peer.send(
        HTTPPeer.request("POST", path, fields, body: "\0\0\0\0\(path == "/test/wait" ? "\0" : "\u{1}\u{8}")"))
      let answer = await peer.nextFromTask()
      #expect(
        answer?.body.contains("grpc-status: \(status)\r\n") == true, "\(timeout): \(answer?.body ?? "")")
    }
    await server.gate.reached(waiting: 0, cancelled: 1)
  }

  @Test("gRPC-Web and Connect with protobuf are the same over HTTP/1.1")
  func overHTTP1() throws {
    let server = try TestServer()
    for (type, body, answer) in [
      (
        "application/grpc-web", HTTP2Peer.add(1, 2),
        HTTP2Peer.message([0x08, 3]) + HTTP2Peer.message(Array("grpc-status: 0\r\n".utf8), flag: 0x80)
      ),
      ("application/proto", [0x08, 1, 0x10, 2], [0x08, 3]),
    ] {
      let peer = try RawPeer(port: server.port)
      peer.send(
        Array(
          "POST /math/add HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: \(type)\r\ncontent-length: \(body.count)\r\n\r\n"
            .utf8) + body)
      let all = peer.everything()
      #expect(all.starts(with: Array("HTTP/1.1 200 OK".utf8)), "\(String(decoding: all, as: UTF8.self))")
      #expect(all.suffix(answer.count).elementsEqual(answer), "\(type)")
    }
  }

  @Test("a call that gRPC-Web's head refuses is refused in gRPC-Web, over either HTTP")
  func webRefusals() throws {
    let server = try TestServer()
    for type in ["application/grpc-web", "application/grpc-web-text+proto"] {
      for (path, fields, status) in [
        ("/math/nothing", [], "12"), ("/nothing", [], "12"), ("/math/add", ["authorization: Bearer x"], "16"),
        ("/math/add", ["connect-timeout-ms: x"], "3"),
      ] {
        let peer = try RawPeer(port: server.port)
        let lines = ["POST \(path) HTTP/1.1", "host: localhost", "content-type: \(type)"] + fields
        peer.send(
          Array((lines + ["connection: close", "content-length: 0", "", ""]).joined(separator: "\r\n").utf8))
        let all = String(decoding: peer.everything(), as: UTF8.self)
        #expect(all.hasPrefix("HTTP/1.1 200 OK\r\ncontent-type: application/grpc-web"), "\(path): \(all)")
        let body = String(all.split(separator: "\r\n\r\n", maxSplits: 1).last ?? "")
        let text =
          type.contains("text") ? Base64.decode(body).map { String(decoding: $0, as: UTF8.self) } : body
        #expect(text?.contains("grpc-status: \(status)\r\n") == true, "\(path): \(all)")
      }
      let peer = try HTTP2Peer(port: server.port)
      let answer = peer.call(HTTP2Peer.head("/math/add", type: type, [("grpc-timeout", "x")]), [])
      let body = String(decoding: answer.body, as: UTF8.self)
      let text =
        type.contains("text") ? Base64.decode(body).map { String(decoding: $0, as: UTF8.self) } : body
      #expect(answer.fields[":status"] == "200" && text?.contains("grpc-status: 13\r\n") == true, "\(answer)")
    }
  }

  @Test("what is long is read and written beside the loop over HTTP/2 too, in every format")
  func long() throws {
    let server = try TestServer { $0.loops = 1 }
    let peer = try HTTP2Peer(port: server.port)
    let big = 16 * 1024 * 1024
    peer.socket.send(
      HTTP2Peer.settings([(4, UInt32(big))]) + HTTP2Peer.frame(8, 0, 0, HTTP2Peer.number(UInt32(big))))
    let numbers = (0..<20_000).map(String.init).joined(separator: ",")
    let text = String(repeating: "long ", count: 20_000)
    func json(_ path: String, _ body: String) -> (HTTP2Peer.Answer, String) {
      let answer = peer.upload(HTTP2Peer.head(path, type: "application/json"), Array(body.utf8))
      return (answer, String(decoding: answer.body, as: UTF8.self))
    }
    #expect(json("/list/sum", "[[\(numbers)]]").1 == "{\"result\":199990000}")
    #expect(json("/any/echo", "[[\"\(text)\",[\(numbers)]]]").1 == "{\"result\":[\"\(text)\",[\(numbers)]]}")
    let wrong = json("/list/sum", "[[\(numbers),\"x\"]]")
    #expect(wrong.0.fields[":status"] == "400" && wrong.1.contains("InvalidArguments"), "\(wrong.1)")
    #expect(json("/math/add", "[1,2]").1 == #"{"result":3}"#)
    // The field 1 with 100,000 times the number 7, packed.
    let packed: [UInt8] = [0x0a, 0xa0, 0x8d, 6] + [UInt8](repeating: 7, count: 100_000)
    let sum: [UInt8] = [0x08, 0xe0, 0xdc, 42]
    #expect(peer.upload(HTTP2Peer.head("/list/sum", type: "application/proto"), packed).body == sum)
    #expect(
      peer.upload(HTTP2Peer.head("/list/sum"), HTTP2Peer.message(packed)).body == HTTP2Peer.message(sum))
    let web = HTTP2Peer.message(sum) + HTTP2Peer.message(Array("grpc-status: 0\r\n".utf8), flag: 0x80)
    #expect(
      peer.upload(HTTP2Peer.head("/list/sum", type: "application/grpc-web"), HTTP2Peer.message(packed)).body
        == web)
    let encoded = Array(Base64.encode(HTTP2Peer.message(packed)).utf8)
    let asText = HTTP2Peer.head("/list/sum", type: "application/grpc-web-text")
    #expect(Base64.decode(String(decoding: peer.upload(asText, encoded).body, as: UTF8.self)) == web)
    let broken = peer.upload(asText, Array(encoded.dropLast()) + [UInt8(ascii: "!")])
    #expect(
      Base64.decode(String(decoding: broken.body, as: UTF8.self)).map { String(decoding: $0, as: UTF8.self) }?
        .contains("grpc-status: 13") == true)
    // Long results: gRPC-Web's are base64 as a whole.
    let fill: [UInt8] = [0x08, 0x80, 0x89, 0x7a]
    let filled = peer.upload(
      HTTP2Peer.head("/data/fill", type: "application/grpc-web-text"),
      Array(Base64.encode(HTTP2Peer.message(fill)).utf8))
    let bytes = try #require(Base64.decode(String(decoding: filled.body, as: UTF8.self)))
    #expect(bytes.count > 2_000_000 && bytes.suffix(16).elementsEqual("grpc-status: 0\r\n".utf8))
    #expect(server.server.core.memory.heldBytes < 1024 * 1024, "nothing of them is left")
  }

  @Test("answers keep to the peer's windows and go on when they grow")
  func windows() throws {
    let server = try TestServer()
    let peer = try HTTP2Peer(port: server.port, settings: [(4, 10)])
    let stream = peer.takeStream()
    peer.socket.send(peer.request(stream, HTTP2Peer.head("/data/fill"), HTTP2Peer.message([0x08, 100])))
    let first = try #require(peer.next { $0.type == 0 && $0.stream == stream })
    #expect(first.payload.count == 10)
    // The raised initial window counts for streams that are open.
    peer.socket.send(HTTP2Peer.settings([(4, 30)]))
    let second = try #require(peer.next { $0.type == 0 && $0.stream == stream })
    #expect(second.payload.count == 20)
    peer.socket.send(HTTP2Peer.frame(8, 0, stream, HTTP2Peer.number(1000)))
    #expect(peer.answer(on: stream).trailers["grpc-status"] == "0")
  }

  @Test("a stream of reflection answers each request, also after one that asks for nothing known")
  func reflection() throws {
    let server = try TestServer()
    let peer = try HTTP2Peer(port: server.port)
    let stream = peer.takeStream()
    let path = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
    peer.socket.send(HTTP2Peer.frame(1, 4, stream, HTTP2Peer.block(HTTP2Peer.head(path))))
    var answers: [Grpc_Reflection_V1_ServerReflectionResponse] = []
    for symbol in ["no.such.thing", "math.add", "math_types.AddRequest", "grpc.health.v1.Health.Watch"] {
      var request = Grpc_Reflection_V1_ServerReflectionRequest()
      request.fileContainingSymbol = symbol
      peer.socket.send(HTTP2Peer.frame(0, 0, stream, HTTP2Peer.message(try request.serializedBytes())))
      let frame = try #require(peer.next { $0.type == 0 && $0.stream == stream })
      answers.append(try .init(serializedBytes: Array(frame.payload.dropFirst(5))))
    }
    #expect(answers[0].errorResponse.errorCode == 5)
    #expect(answers[1].fileDescriptorResponse.fileDescriptorProto.count == 2, "a file with what it needs")
    #expect(answers[2].fileDescriptorResponse.fileDescriptorProto.count == 1)
    #expect(answers[3].fileDescriptorResponse.fileDescriptorProto.count == 1)
    peer.socket.send(HTTP2Peer.frame(0, 1, stream))
    #expect(peer.answer(on: stream).trailers["grpc-status"] == "0")
  }

  @Test("a drain is said twice: what comes in between is answered, and so is what was begun")
  func drain() async throws {
    let server = try TestServer()
    let peer = try HTTP2Peer(port: server.port)
    let watch = peer.takeStream()
    peer.socket.send(
      HTTP2Peer.frame(1, 4, watch, HTTP2Peer.block(HTTP2Peer.head("/grpc.health.v1.Health/Watch"))))
    peer.socket.send(HTTP2Peer.frame(0, 1, watch, HTTP2Peer.message([])))
    #expect(peer.next { $0.type == 0 }?.payload == HTTP2Peer.message([0x08, 1]), "SERVING")
    let waiting = peer.takeStream()
    peer.socket.send(peer.request(waiting, HTTP2Peer.head("/test/wait"), HTTP2Peer.message([])))
    await server.gate.reached(waiting: 1)
    let stopped = Latch()
    try LoopThread.spawn(name: "stop") {
      server.server.stop()
      stopped.signal()
    }
    let announced = try #require(peer.goAway())
    #expect(announced.payload.prefix(4) == HTTP2Peer.number(0x7fff_ffff)[...])
    #expect(
      peer.frames.contains { $0.type == 0 && $0.payload == HTTP2Peer.message([0x08, 2]) }, "NOT_SERVING first"
    )
    let ping = try #require(peer.next { $0.type == 6 })
    #expect(peer.call("/math/add", HTTP2Peer.add(1, 2)).status == 0)
    let health = peer.takeStream()
    let head = [(":method", "GET"), (":scheme", "http"), (":authority", "127.0.0.1"), (":path", "/healthz")]
    peer.socket.send(HTTP2Peer.frame(1, 5, health, HTTP2Peer.block(head)))
    let page = peer.answer(on: health)
    #expect(page.fields[":status"] == "503" && page.body == Array("{\"status\":\"draining\"}\n".utf8))
    peer.socket.send(HTTP2Peer.frame(6, 1, 0, ping.payload))
    let last = try #require(peer.goAway())
    #expect(last.payload.prefix(4) == HTTP2Peer.number(health)[...])
    server.gate.open()
    let answer = await onThread { peer.answer(on: waiting) }
    #expect(answer.trailers["grpc-status"] == "0")
    #expect(peer.socket.isClosed())
    stopped.wait()
  }
}
