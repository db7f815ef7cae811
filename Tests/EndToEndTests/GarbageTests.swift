import RPCWire
import Testing

@Suite("Garbage on the port")
struct GarbageTests {
  /// A frame's header: length, kind, flags, status, call id.
  private static func header(_ length: UInt32, _ kind: UInt8, _ id: UInt64 = 0) -> [UInt8] {
    withUnsafeBytes(of: length.littleEndian, Array.init) + [kind, 0, 0, 0]
      + withUnsafeBytes(of: id.littleEndian, Array.init)
  }
  private static let preface: [UInt8] = [0x89, 0x52, 0x50, 0x43, 0x0d, 0x0a, 0x01, 0x00]
  private static let hello: [UInt8] = header(10, 1) + [0x81, 0xa7] + Array("version".utf8) + [0x01]

  /// What a peer sends before it falls silent, and what the answer must hold; nil where there may be none.
  private static let garbage: [(String, [UInt8], String?)] = [
    ("nothing", [], nil),
    ("one byte that no dialect has", [0x00], "ProtocolError"),
    ("an HTTP request", Array("GET / HTTP/1.1\r\nHost: x\r\n\r\n".utf8), "ProtocolError"),
    ("a TLS hello", [0x16, 0x03, 0x01, 0x02, 0x00, 0x01], "ProtocolError"),
    ("text", Array("hello, is anybody there?\n".utf8), "ProtocolError"),
    ("random bytes", (0..<4096).map { UInt8(truncatingIfNeeded: ($0 &* 7919) >> 3) }, nil),
    ("half a preface", Array(preface.prefix(4)), nil),
    ("a preface of another protocol", [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a], nil),
    ("a frame before HELLO", preface + header(0, 8), nil),
    ("a payload of 4 GiB", preface + header(.max, 1), nil),
    ("an unknown kind", preface + hello + header(0, 200), nil),
    ("a HELLO that is not MessagePack", preface + header(3, 1) + [0xc1, 0xc1, 0xc1], nil),
    ("a list that claims 4 G elements", preface + header(5, 1) + [0xdd, 0xff, 0xff, 0xff, 0xff], nil),
    ("half a frame", preface + header(100, 1) + [0x81], nil),
    ("a line that is not JSON", Array("{\"header\":\n".utf8), "ProtocolError"),
    ("JSON that is not a request", Array("{\"a\":1}\n".utf8), "ProtocolError"),
    (
      "JSON nested too deep", Array("{\"header\":\(String(repeating: "[", count: 5000))\n".utf8),
      "ProtocolError"
    ),
    ("a line without end", Array("{\"header\":\"RPC-REQ\"".utf8), nil),
    (
      "text that is not UTF-8", Array("{\"a\":\"".utf8) + [0xff, 0xfe] + Array("\"}\n".utf8), "ProtocolError"
    ),
  ]

  @Test("the peer is told where it can be, and the server serves on")
  func servesOn() throws {
    let network = try Network()
    let neighbour = try network.lines()
    for (what, bytes, answer) in Self.garbage {
      let peer = try network.lines()
      // A server that has heard enough may close before all is sent.
      try? peer.send(bytes)
      peer.endInput()
      let said = String(decoding: try peer.receiveToEnd(), as: UTF8.self)
      if let answer { #expect(said.contains(answer), "\(what): \(said)") }
      #expect(try neighbour.call("system.ping") == .values(["pong"]), "after \(what)")
    }
    #expect(try network.lines().call("system.ping") == .values(["pong"]))
    #expect(try network.server("s1").isRunning)
  }

  @Test("a json line above the limit is refused with the limit, below it is served")
  func lineLimit() throws {
    let network = try Network(options: ["--max-json", "4096"])
    func line(_ count: Int) -> String {
      let frame = LineClient.request("system.ping", "[]")
      return String(repeating: " ", count: count - frame.utf8.count) + frame
    }
    let caller = try network.lines()
    try caller.send(line: line(4096))
    #expect(try caller.receiveAnswer() == .values(["pong"]))
    try caller.send(line: line(4098))
    let refusal = try caller.receiveAnswer()
    #expect(refusal.exceptionType == "ResourceExhausted")
    #expect(refusal.exceptionMessage?.contains("4096") == true, "\(refusal)")
    #expect(try caller.receiveLine() == nil)
    #expect(try network.lines().call("system.ping") == .values(["pong"]))
  }

  @Test("connections that are reset in the middle disturb no other")
  func resets() throws {
    let network = try Network(clients: ["c1"])
    let neighbour = try network.lines()
    for length in [0, 3, 8, 20, 30] {
      // A registered client's connections are closed by a reset.
      let peer = try network.lines(as: "c1")
      try peer.send((Self.preface + Self.hello).prefix(length))
    }
    #expect(try neighbour.call("system.ping") == .values(["pong"]))
  }
}
