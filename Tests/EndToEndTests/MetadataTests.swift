import Foundation
import TestSupport
import Testing

@Suite("What came with a call")
struct MetadataTests {
  private static let sources = [
    "test.lua": """
    local loaded = rpc.caller() == nil and rpc.metadata("x-own") == nil and rpc.deadline() == nil
    function tell(name)
      local deadline = rpc.deadline()
      return rpc.caller(), tostring(rpc.metadata(name)), loaded and deadline ~= nil and deadline <= 9 and deadline > 0
    end
    function relay(name) return rpc.call("s1", "test.tell", name) end
    """,
    "test.py": """
    import rpc
    loaded = rpc.caller() is None and rpc.metadata("x-own") is None and rpc.deadline() is None and rpc.metadata() == {}
    def tell(name):
        deadline = rpc.deadline()
        # All of it is there too, and what a call does to its copy stays with it.
        entries = rpc.metadata()
        value = entries.pop(name, None)
        same = value == rpc.metadata(name)
        return rpc.caller(), "nil" if value is None else value, loaded and same and 0 < deadline <= 9
    def relay(name):
        told = rpc.call("s1", "test.tell", name)
        # The answer came by the same buffer.
        return told[0], told[1], told[2] and rpc.caller() == "me" and "x-own" in rpc.metadata()
    """,
  ]

  @Test(
    "a procedure is told who calls, what came along and how long it has, and passes on the trace alone",
    arguments: ["test.lua", "test.py"])
  func told(source: String) throws {
    let network = try Network()
    try network.directory.write(try #require(Self.sources[source]), to: source)
    try network.describe(
      """
      service:
        - test: {providers: [s1], tenants: [me], rpcs: [tell, relay]}
      rpc:
        test:
          - tell: {args: [name: str], returns: [str, str, bool], src: \(source)}
          - relay: {args: [name: str], returns: [str, str, bool], src: \(source)}
      """)
    try network.deploy()
    func ask(_ procedure: String, _ name: String) throws -> String {
      let outcome = try run(
        "/usr/bin/curl",
        [
          "-sS", "--max-time", "30", "--json", "[\"\(name)\"]", "-H", "connect-timeout-ms: 9000", "-H",
          "X-Own: mine",
          "-H", "cookie: secret", "-H", "rpc-depth: 3",
          "-H", "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "-H", "baggage: a=1",
          "http://127.0.0.1:\(try network.port("s1"))/test/\(procedure)",
        ])
      return outcome.output
    }
    func answer(_ value: String, caller: String = "me") -> String {
      #"{"result1":"\#(caller)","result2":"\#(value)","result3":true}"#
    }
    // A procedure's call is its service's.
    func relayed(_ value: String) -> String { answer(value, caller: "service test") }
    #expect(try ask("tell", "x-own") == answer("mine"))
    for hidden in ["cookie", "authorization", "rpc-depth", "X-Own", "nothing"] {
      #expect(try ask("tell", hidden) == answer("nil"), "\(hidden)")
    }
    #expect(
      try ask("relay", "traceparent") == relayed("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"))
    #expect(try ask("relay", "baggage") == relayed("a=1"))
    #expect(try ask("relay", "x-own") == relayed("nil"))
  }
}
