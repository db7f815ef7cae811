import RPCServer
import Testing

@Suite("The json dialect, from outside")
struct JSONSessionTests {
  private static func request(_ service: String, _ rpc: String, _ rest: String) -> [UInt8] {
    Array((#"{"header":"RPC-REQ","value":{"service":"\#(service)","rpc":"\#(rpc)",\#(rest)}}"# + "\n").utf8)
  }

  static let calls: [(service: String, rpc: String, rest: String, answer: String)] = [
    (
      "math", "add", #""arguments":["32","33"],"argument-types":["int","int"],"return-types":["int"]"#, "[65]"
    ),
    ("math", "add", #""arguments":["32","33"]"#, "[65]"),
    ("math", "add", #""arguments":[32,33]"#, "[65]"),
    ("text", "echo", #""arguments":["32"]"#, #"["32"]"#),
    ("text", "echo", #""arguments":["h\u00e9 \ud83c\udf0d"]"#, #"["hé 🌍"]"#),
    ("data", "echo", #""arguments":["AQI="]"#, #"[{"$bytes":"AQI="}]"#),
  ]

  @Test("a call is answered, its arguments typed or told by what they fit", arguments: calls.indices)
  func answers(index: Int) throws {
    let server = try TestServer()
    let peer = try RawPeer(port: server.port)
    let call = Self.calls[index]
    peer.send(Self.request(call.service, call.rpc, call.rest))
    #expect(peer.nextLine() == #"{"header":"RPC-RES","value":{"return-values":\#(call.answer)}}"#)
  }

  @Test("answers come in the order of the lines, refused ones among them, and the id comes back")
  func order() throws {
    let server = try TestServer()
    let peer = try RawPeer(port: server.port)
    peer.send(
      Self.request("math", "add", #""arguments":[1,1],"id":7"#)
        + Self.request("math", "ad", #""arguments":[1,1],"id":"x""#) + Array("nonsense\n\n{}\n".utf8)
        + Self.request("math", "add", #""arguments":[2,2]"#))
    let first = peer.nextLine()
    #expect(first?.contains(#""return-values":[2]"#) == true)
    #expect(first?.contains(#""id":7"#) == true)
    let missing = peer.nextLine()
    #expect(missing?.contains("RPCNotFound") == true)
    #expect(missing?.contains(#""id":"x""#) == true)
    #expect(peer.nextLine()?.contains("RPC-EX") == true)
    #expect(peer.nextLine()?.contains("RPC-EX") == true)
    #expect(peer.nextLine()?.contains(#""return-values":[4]"#) == true)
  }

  @Test("a peer that ends its side after the last line still gets the answers")
  func halfClose() async throws {
    let server = try TestServer()
    let peer = try RawPeer(port: server.port)
    peer.send(Self.request("test", "wait", #""arguments":[]"#))
    peer.endSending()
    await server.gate.reached(waiting: 1)
    server.gate.open()
    nonisolated(unsafe) let waiting = peer
    let line = await withCheckedContinuation { continuation in
      continuation.resume(returning: waiting.nextLine())
    }
    #expect(line?.contains("opened") == true)
    #expect(peer.isClosed())
  }

  @Test("a timeout in the request ends the call")
  func timeout() async throws {
    let server = try TestServer()
    let peer = try RawPeer(port: server.port)
    peer.send(Self.request("test", "wait", #""arguments":[],"timeout":0.02"#))
    #expect(peer.nextLine()?.contains("DeadlineExceeded") == true)
  }

  @Test("a line above the limit is refused with both numbers")
  func longLine() throws {
    let server = try TestServer { $0.jsonBytes = 4096 }
    let peer = try RawPeer(port: server.port)
    peer.send(Array("{\"".utf8) + [UInt8](repeating: UInt8(ascii: "x"), count: 10_000))
    #expect(peer.nextLine()?.contains("the limit of 4096 bytes") == true)
    #expect(peer.isClosed())
  }

  @Test("a line of the limit is taken, and one byte more is not", arguments: [4096, 4097])
  func longestLine(count: Int) throws {
    let server = try TestServer { $0.jsonBytes = 4096 }
    let peer = try RawPeer(port: server.port)
    let line = Self.request("math", "add", #""arguments":[1,1]"#)
    peer.send([UInt8](repeating: UInt8(ascii: " "), count: count - line.count + 1) + line)
    let answer = peer.nextLine()
    #expect(
      answer?.contains(count == 4096 ? #""return-values":[2]"# : #""actual":4097,"limit":4096"#) == true)
  }

  @Test("a result of the limit is written, and one byte more is not", arguments: [4096, 4097])
  func longestResult(count: Int) throws {
    let server = try TestServer { $0.jsonBytes = 4096 }
    let peer = try RawPeer(port: server.port)
    // The list and the header of the bytes are four.
    peer.send(Self.request("data", "fill", #""arguments":[\#(count - 4)]"#))
    let answer = peer.nextLine()
    if count == 4096 {
      #expect(answer?.contains("$bytes") == true)
    } else {
      #expect(answer?.contains(#""executed":"yes","actual":4097,"limit":4096"#) == true, "\(answer ?? "")")
    }
  }

  @Test(
    "the last line needs no line end, wherever it is cut and whatever is in flight", arguments: [0, 1, 2])
  func lastLine(waiting: Int) async throws {
    let server = try TestServer()
    let peer = try RawPeer(port: server.port)
    var lines: [UInt8] = []
    for _ in 0..<waiting { lines += Self.request("test", "wait", #""arguments":[]"#) }
    lines += Self.request("math", "add", #""arguments":[1,1]"#)
    lines += Self.request("math", "add", #""arguments":[2,2]"#).dropLast()
    peer.send(lines)
    peer.endSending()
    if waiting > 0 { await server.gate.reached(waiting: 1) }
    server.gate.open()
    for _ in 0..<waiting { #expect(await peer.nextLineFromTask()?.contains("opened") == true) }
    #expect(await peer.nextLineFromTask()?.contains(#""return-values":[2]"#) == true)
    #expect(await peer.nextLineFromTask()?.contains(#""return-values":[4]"#) == true)
    #expect(peer.isClosed())
  }

  @Test(
    "a last line that is not a request is answered too, and blank ones are not",
    arguments: ["nonsense", "{", " \r"])
  func lastLineIsWrong(text: String) throws {
    let server = try TestServer()
    let peer = try RawPeer(port: server.port)
    peer.send(Self.request("math", "add", #""arguments":[1,1]"#) + Array(text.utf8))
    peer.endSending()
    #expect(peer.nextLine()?.contains(#""return-values":[2]"#) == true)
    if text == " \r" {
      #expect(peer.nextLine() == nil)
    } else {
      #expect(peer.nextLine()?.contains("ProtocolError") == true)
    }
    #expect(peer.isClosed())
  }

  /// What is JSON, but means nothing where it stands, with what its refusal says.
  static let wrongValues: [(service: String, rest: String, message: String)] = [
    (
      "math", #""arguments":[1,100000000000000000000],"argument-types":["int","int"]"#,
      "does not fit a signed 64-bit"
    ),
    ("math", #""arguments":[1,100000000000000000000]"#, "argument 2: 100000000000000000000 does not fit"),
    (
      "math", #""arguments":["1e400",1],"argument-types":["int","int"]"#,
      "argument 1: expected int, found float 1e400"
    ),
    ("text", #""arguments":["\ud800"]"#, "half a surrogate pair"),
    ("any", #""arguments":[{"a":1,"a":2}]"#, "argument 1: the key 'a' occurs twice"),
    ("any", #""arguments":[1e400]"#, "argument 1: 1e400 does not fit a float"),
  ]

  @Test("a value that cannot be meant is InvalidArguments, with the id", arguments: wrongValues.indices)
  func wrongValue(index: Int) throws {
    let server = try TestServer()
    let peer = try RawPeer(port: server.port)
    let (service, rest, message) = Self.wrongValues[index]
    peer.send(Self.request(service, service == "math" ? "add" : "echo", rest + #","id":"i""#))
    let answer = try #require(peer.nextLine())
    #expect(answer.contains(#""id":"i","exception-type":"InvalidArguments""#), "\(answer)")
    #expect(answer.contains(message), "\(answer)")
  }

  @Test("a line that is not JSON is answered with its id, beside the calls in flight")
  func brokenLine() async throws {
    let server = try TestServer()
    let peer = try RawPeer(port: server.port)
    peer.send(Self.request("test", "wait", #""arguments":[],"id":1"#))
    peer.send(Array(#"{"header":"RPC-REQ","value":{"arguments":[01],"id":2}}"#.utf8) + [0x0a])
    let answer = try #require(await peer.nextLineFromTask())
    #expect(answer.contains(#""id":2,"exception-type":"ProtocolError""#), "\(answer)")
    server.gate.open()
    #expect(await peer.nextLineFromTask()?.contains(#""id":1"#) == true)
  }

  @Test("é in one scalar and in two are two keys and two texts")
  func composed() throws {
    let server = try TestServer()
    let peer = try RawPeer(port: server.port)
    peer.send(Self.request("any", "echo", #""arguments":[{"\u00e9":1,"e\u0301":2}]"#))
    let answer = try #require(peer.nextLine())
    #expect(
      Array(answer.utf8)
        == Array(
          "{\"header\":\"RPC-RES\",\"value\":{\"return-values\":[{\"\u{e9}\":1,\"e\u{301}\":2}]}}".utf8))
  }
}
