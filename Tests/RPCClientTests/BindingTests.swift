import RPCSystem
import RPCTransport
import RPCWire
import Testing

@testable import RPCClient

@Suite("Bindings")
struct BindingTests {
  /// What calls that were started with a callback ended with.
  private final class Answers: Sendable {
    private let results = Lock<[Result<CallResult, RPCError>]>([])
    private let finished = Latch()

    /// Starts calls, one after the other, without waiting for any. They have reached the client's loop, in this order,
    /// before whatever is posted to it later.
    init(_ client: RPCClient, count: Int) {
      for _ in 0..<count {
        client.start("math.x", []) { [self] result in
          let isLast = results.withLock { results in
            results.append(result)
            return results.count == count
          }
          if isLast { finished.signal() }
        }
      }
    }

    func all() async -> [Result<CallResult, RPCError>] {
      await BindingTests.wait(for: finished)
      return results.withLock { $0 }
    }
  }

  static func wait(for latch: Latch) async {
    _ = try? await BlockingTests.onThread { () throws(RPCError) in latch.wait() }
  }

  /// Returns when everything that was posted to the client's loop before has been done.
  static func settle(_ client: RPCClient) async {
    await withUnsafeContinuation { (continuation: UnsafeContinuation<Void, Never>) in
      client.engine.onLoop { _ in continuation.resume() }
    }
  }

  @Test("a call that began after a deployment does not get the answer that a BIND before it got")
  func bindInFlight() async throws {
    let bindArrived = Latch()
    let mayAnswer = Latch()
    let server = try FakeServer { peer in
      try peer.greet()
      let bind = try peer.next(.bind)
      bindArrived.signal()
      mayAnswer.wait()
      // Decided before the deployment, read after it.
      peer.fail(bind, RPCError(.rpcNotFound, "the service 'math' has no procedure 'x'"))
      peer.send { $0.appendEmptyFrame(.generation, callID: 2) }
      try peer.serve { _ in "deployed" }
    }
    let client = RecoveryTests.client(server)
    let before = Answers(client, count: 1)
    await Self.wait(for: bindArrived)
    let after = Answers(client, count: 3)
    await Self.settle(client)
    mayAnswer.signal()
    guard case .failure(let error) = await before.all()[0] else {
      Issue.record("the procedure was not there")
      return
    }
    #expect(error.exception == .rpcNotFound)
    #expect(try await after.all().map { try $0.get().values } == [["deployed"], ["deployed"], ["deployed"]])
    await client.close()
  }

  @Test("many calls of a procedure that is not there cost two BINDs")
  func missingProcedure() async throws {
    let binds = Lock(0)
    let bindArrived = Latch()
    let mayAnswer = Latch()
    let server = try FakeServer { peer in
      try peer.greet()
      while true {
        let bind = try peer.next(.bind)
        bindArrived.signal()
        mayAnswer.wait()
        binds.withLock { $0 += 1 }
        peer.fail(bind, RPCError(.rpcNotFound, "no"))
      }
    }
    let client = RecoveryTests.client(server)
    let first = Answers(client, count: 1)
    await Self.wait(for: bindArrived)
    let others = Answers(client, count: 100)
    await Self.settle(client)
    mayAnswer.signal()
    for result in await first.all() + others.all() {
      guard case .failure(let error) = result, error.exception == .rpcNotFound else {
        Issue.record("\(result)")
        continue
      }
    }
    #expect(binds.withLock { $0 } == 2)
    await client.close()
  }
}
