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

  @Test("whoever ends its side after the last line still gets the answers")
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
    let server = try TestServer { $0.frameBytes = 4096 }
    let peer = try RawPeer(port: server.port)
    peer.send(Array("{\"".utf8) + [UInt8](repeating: UInt8(ascii: "x"), count: 10_000))
    #expect(peer.nextLine()?.contains("the limit of 4096 bytes") == true)
    #expect(peer.isClosed())
  }
}
