import RPCClient
import RPCSystem
import RPCWire
import Testing

@Suite("One deadline over all attempts")
struct RetryDeadlineTests {
  @Test("each attempt has what is left of the call's time, and when that is over it is over")
  func oneDeadline() async throws {
    let timeouts = Lock<[UInt32]>([])
    let server = try FakeServer { peer in
      try peer.greet()
      let call = try peer.next(.call, bindingIdempotent: true)
      let timeout = try call.call.timeoutMicroseconds
      timeouts.withLock { $0.append(timeout) }
      // Two attempts are lost; the third is never answered.
      if peer.number < 3 { return peer.reset() }
      peer.waitForEnd()
    }
    let client = RPCClient(
      topology: Topology(
        servers: [.init(name: "s1", host: "127.0.0.1", port: server.port)],
        services: [.init(name: "math", providers: ["s1"], tenants: [])]))
    let options = CallOptions(
      deadline: .seconds(3), retry: RetryPolicy(attempts: 10, repeatsIdempotent: true))
    do {
      _ = try await client.invoke("math.x", [], options: options)
      Issue.record("nobody answered, and yet there is an answer")
    } catch {
      #expect(error.exception == .deadlineExceeded)
      #expect(error.executed == .maybe)
    }
    let told = timeouts.withLock { $0 }
    #expect(told.count == 3)
    #expect(told.allSatisfy { $0 > 0 && $0 <= 3_000_000 })
    #expect(zip(told, told.dropFirst()).allSatisfy { $0 > $1 }, "\(told)")
    await client.close()
    server.stop()
  }
}
