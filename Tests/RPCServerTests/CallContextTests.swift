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
}
