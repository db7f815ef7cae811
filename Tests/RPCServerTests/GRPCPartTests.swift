import RPCWire
import TestSupport
import Testing

@testable import RPCServer

@Suite("Parts of gRPC")
struct GRPCPartTests {
  @Test(
    "a timeout is up to eight digits and a unit",
    arguments: [
      ("1n", 1), ("0n", 1), ("2u", 2000), ("30m", 30_000_000), ("4S", 4_000_000_000), ("1M", 60_000_000_000),
      ("1H", 3_600_000_000_000), ("99999999H", 34_560_000_000_000_000), ("1x", nil), ("123456789S", nil),
      ("S", nil),
      ("", nil), ("-1S", nil), ("1 S", nil),
    ] as [(String, UInt64?)])
  func timeouts(_ text: String, _ nanoseconds: UInt64?) {
    let found = Array(text.utf8).withUnsafeBufferPointer { GRPCTimeout.nanoseconds($0) }
    #expect(found == nanoseconds)
  }

  @Test("a message is percent-encoded outside printable ASCII")
  func percent() {
    #expect(PercentCoding.encode(message: "50 % é\n") == "50 %25 %C3%A9%0A")
  }

  @Test("frames that bring nothing are taken up to a burst, then so many a second")
  func budget() {
    var budget = FrameBudget(now: 0)
    func taken(at now: UInt64) -> Int {
      var count = 0
      while budget.take(now: now) { count += 1 }
      return count
    }
    #expect(taken(at: 0) == GRPCLimits.idleFramesBurst)
    #expect(taken(at: 1_000_000_000) == GRPCLimits.idleFramesPerSecond)
    budget.earn()
    #expect(taken(at: 1_000_000_000) == GRPCLimits.idleFramesPerCall)
    #expect(taken(at: 100_000_000_000) == GRPCLimits.idleFramesBurst)
  }

  @Test("a message that trailers cannot hold is cut at a character")
  func longMessages() {
    for text in [
      String(repeating: "é", count: 5000), String(repeating: "x", count: 1501),
      "日" + String(repeating: "日", count: 600),
    ] {
      let status = GRPCStatus(RPCError(.executionException, text))
      #expect(status.message.utf8.count <= GRPCLimits.messageBytesMax + 3)
      #expect(status.message.hasSuffix("…") && !status.message.contains("\u{fffd}"))
      #expect(status.fields.reduce(0) { $0 + $1.name.utf8.count + $1.value.utf8.count + 32 } < 8192)
    }
  }

  @Test("a refusal says how much there was, how much there may be, and when to try again")
  func facts() {
    let error = RPCError(
      .resourceExhausted, "too many", actual: 5, limit: 4, unit: .calls, retryAfterMilliseconds: 10)
    let status = GRPCStatus(error)
    #expect(status.code == .resourceExhausted)
    #expect(status.fields.contains { $0.name == "grpc-retry-pushback-ms" && $0.value == "10" })
    let text = status.fields.first { $0.name == "grpc-status-details-bin" }?.value ?? ""
    let bytes = Base64.decode(text + String(repeating: "=", count: (4 - text.utf8.count % 4) % 4)) ?? []
    let details = String(decoding: bytes, as: UTF8.self)
    for part in ["ResourceExhausted", "actual", "limit", "calls", "google.rpc.RetryInfo"] {
      #expect(details.contains(part))
    }
  }

  @Test("text of gRPC-Web may come in pieces, each with its padding")
  func webText() {
    #expect(GRPCWebText.decode(Array("AQ==AgM=".utf8)) == [1, 2, 3])
    #expect(GRPCWebText.decode([]) == [])
    #expect(GRPCWebText.decode(Array("AQ=".utf8)) == nil)
    #expect(GRPCWebText.decode(Array("A!==".utf8)) == nil)
  }
}
