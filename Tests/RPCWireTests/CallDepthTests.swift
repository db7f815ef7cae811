import RPCWire
import Testing

@Suite("How deep a call is nested")
struct CallDepthTests {
  private static let cases: [(Value, Int)] = [
    ([:], 0), (["rpc-depth": 0], 0), (["rpc-depth": 3], 3),
    (["tenant": ["a": 1], "rpc-depth": 7, "x": nil], 7),
    (["rpc-depth": .int(.max)], .max),
  ]

  @Test("the metadata says it, whatever stands beside it", arguments: cases)
  func read(metadata: Value, depth: Int) throws {
    #expect(try CallFrame.Nesting(in: metadata.messagePack.span.bytes).depth == depth)
  }

  @Test(
    "a depth that is none is an error",
    arguments: [["rpc-depth": -1], ["rpc-depth": "3"], ["rpc-depth": 1.5]] as [Value])
  func wrong(metadata: Value) {
    #expect(throws: WireError.self) { try CallFrame.Nesting(in: metadata.messagePack.span.bytes) }
  }

  @Test("the greatest depth passes, one more is refused with both numbers")
  func bound() throws {
    try CallFrame.checkDepth(WireLimits.callDepthMax, of: "a.b")
    let error = #expect(throws: RPCError.self) {
      try CallFrame.checkDepth(WireLimits.callDepthMax + 1, of: "a.b")
    }
    #expect(error?.exception == .resourceExhausted)
    #expect(error?.actual == 17)
    #expect(error?.limit == 16)
    #expect(error?.executed == .no)
  }
}
