import RPCProcedures
import RPCServer
import RPCWire
import Testing

@Suite("The context of a call")
struct CallContextTests {
  @Test("what servers say among themselves is not shown, and the trace of a native call is read as text")
  func metadata() {
    let entries: [Value.Entry] = [
      .init("rpc-depth", .int(2)), .init("tracestate", .string("a=b")), .init("x", .int(5)),
    ]
    let context = RPCProcedures.CallContext(
      caller: "me", metadata: Value.map(entries).messagePack,
      trace: [0] + Array(1...16) + Array(17...24) + [1])
    let traceparent = Value.string("00-0102030405060708090a0b0c0d0e0f10-1112131415161718-01")
    #expect(context.metadata == ["tracestate": "a=b", "x": 5, "traceparent": traceparent])
    #expect(context.forwarded == ["tracestate": "a=b", "traceparent": traceparent])
    #expect(RPCProcedures.CallContext().metadata.isEmpty && RPCProcedures.CallContext().forwarded.isEmpty)
  }

  @Test("a closure that may wait finds it")
  func closure() throws {
    let server = try Server(
      host: "127.0.0.1", port: 0,
      procedures: [
        NativeProcedure(suspending: "test.tell") { (name: String) async -> String in
          guard let context = CallContext.current else { return "no context" }
          return "\(context.metadata[name]?.stringValue ?? "nil") \(context.deadlineNanoseconds != nil)"
        }
      ])
    try server.start()
    defer { server.stopNow() }
    let peer = try HTTPPeer(port: server.port)
    let answer = peer.ask(
      HTTPPeer.call("/test/tell", #"["x-own"]"#, ["X-Own: mine", "connect-timeout-ms: 5000"]))
    #expect(answer?.body == #"{"result":"mine true"}"#)
    #expect(
      peer.ask(HTTPPeer.call("/test/tell", #"["cookie"]"#, ["cookie: a"]))?.body == #"{"result":"nil false"}"#
    )
    let large = ["x: \(String(repeating: "y", count: WireLimits.metadataBytesMax))"]
    #expect(peer.ask(HTTPPeer.call("/test/tell", #"["x"]"#, large))?.status == 429)
  }

  /// Tells the entry `x-own` of the metadata, and whether there is a deadline.
  @Sendable private static func tell(_ name: String) -> String {
    guard let context = CallContext.current else { return "no context" }
    return "\(context.metadata[name]?.stringValue ?? "nil") \(context.deadlineNanoseconds != nil)"
  }

  private static func server() throws -> Server {
    let server = try Server(
      host: "127.0.0.1", port: 0,
      procedures: [
        NativeProcedure("test.tell") { (name: String) -> String in tell(name) },
        NativeProcedure("test.long") { (names: [String]) -> String in tell(names[0]) },
      ])
    try server.start()
    return server
  }

  @Test(
    "a closure that runs on the loop, or beside it, finds it in every dialect, and nobody finds another call's"
  )
  func onTheSpot() throws {
    let server = try Self.server()
    defer { server.stopNow() }
    let http = try HTTPPeer(port: server.port)
    let fields = ["X-Own: mine", "connect-timeout-ms: 5000"]
    #expect(
      http.ask(HTTPPeer.call("/test/tell", #"["x-own"]"#, fields))?.body == #"{"result":"mine true"}"#)
    #expect(http.ask(HTTPPeer.call("/test/tell", #"["x-own"]"#))?.body == #"{"result":"nil false"}"#)
    // Read beside the loop, and run there too.
    for count in [BoundProcedure.spotBytes / 4, BoundProcedure.spotBytes] {
      let many = String(repeating: #","y""#, count: count)
      #expect(
        http.ask(HTTPPeer.call("/test/long", "[[\"x-own\"\(many)]]", fields))?.body
          == #"{"result":"mine true"}"#)
    }

    let grpc = try HTTP2Peer(port: server.port)
    let message = HTTP2Peer.message([0x0a, 5] + Array("x-own".utf8))
    func told(_ answer: HTTP2Peer.Answer) -> String {
      String(decoding: answer.body.dropFirst(7), as: UTF8.self)
    }
    let more = [("x-own", "mine"), ("x-own", "and more"), ("grpc-timeout", "5S"), ("x-bytes-bin", "AAE")]
    #expect(told(grpc.call("/test/tell", message, more)) == "mine, and more true")
    #expect(told(grpc.call("/test/tell", message)) == "nil false")

    let native = try RawPeer.greeted(port: server.port)
    let tell = try native.bind("test", "tell", [.string])
    native.startCall(tell, ["x-own"], timeoutMicroseconds: 5_000_000)
    native.startCall(tell, ["x-own"], timeoutMicroseconds: 5_000_000)
    native.startCall(tell, ["x-own"])
    native.send { queue in
      let mark = CallFrame.begin(
        in: &queue, callID: native.takeCallID(), procedureID: tell, timeoutMicroseconds: 0, flags: .metadata)
      Value.map([.init("x-own", "mine")]).encode(to: &queue)
      Value.list(["x-own"]).encode(to: &queue)
      queue.endFrame(mark)
    }
    native.startCall(tell, ["x-own"])
    let answers = (0..<5).map { _ in native.next()?.values?.first?.stringValue }
    #expect(answers == ["nil true", "nil true", "nil false", "mine false", "nil false"])

    let json = try RawPeer(port: server.port)
    json.send(
      Array(
        (#"{"header":"RPC-REQ","value":{"service":"test","rpc":"tell","arguments":["x"],"timeout":5}}"# + "\n")
          .utf8))
    #expect(json.nextLine()?.contains("nil true") == true)
    #expect(CallContext.current == nil)
  }
}
