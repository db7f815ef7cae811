import RPCSystem
import RPCWire
import TestSupport
import Testing

@testable import RPCClient

/// Clients whose calls, cancellations and deadlines are random, against servers that answer in any order, refuse, call
/// ids stale, change generation, go away and crash, at random.
@Suite("A client among unreliable servers")
struct ClientModelTests {
  /// What the servers did: which calls, by their argument, they began.
  private final class World: Sendable {
    private let executions = Lock<[Int: Int]>([:])
    func began(_ number: Int) { executions.withLock { $0[number, default: 0] += 1 } }
    func count(_ number: Int) -> Int { executions.withLock { $0[number] ?? 0 } }
  }

  /// A server that leads its clients astray within the protocol.
  private static func server(_ world: World, seed: UInt64) throws -> FakeServer {
    try FakeServer { peer in
      var generator = SeededRandom(seed: seed &* 1_000 &+ UInt64(peer.number))
      func chance(_ percent: Int) -> Bool { Int.random(in: 0..<1000, using: &generator) < percent }
      try peer.greet { $0.callsInFlight = 16 }
      var held: [FakeServer.Frame] = []
      var lastID: UInt64 = 0
      var isLeaving = false
      while !(isLeaving && held.isEmpty) {
        let frame = try peer.next(.call, .cancel, .bind)
        switch frame.kind {
        case .bind:
          if chance(20) {
            peer.fail(frame, RPCError(.unavailable, "not now", executed: .no))
          } else {
            try peer.bound(frame, idempotent: try frame.bind.procedure == "repeatable")
          }
        case .cancel:
          if let index = held.firstIndex(where: { $0.callID == frame.callID }) {
            peer.fail(held.remove(at: index), RPCError(.cancelled, "cancelled", executed: .maybe))
          }
        default:
          if isLeaving || chance(30) {
            peer.fail(frame, RPCError(.unavailable, "refused", executed: .no))
          } else if chance(30) {
            peer.fail(frame, RPCError(.staleBinding, "bind again", executed: .no))
          } else {
            lastID = frame.callID
            world.began(Int(try frame.call.arguments[0].intValue ?? -1))
            held.append(frame)
          }
        }
        if chance(5) { return peer.reset() }
        if chance(5), !isLeaving {
          isLeaving = true
          peer.send { GoAway(lastCallID: lastID, reason: "", drainMilliseconds: 1).encode(to: &$0) }
        }
        if chance(10) { peer.send { $0.appendEmptyFrame(.generation, callID: frame.callID) } }
        while !held.isEmpty, held.count > 8 || isLeaving || chance(600) {
          let call = held.remove(at: Int.random(in: 0..<held.count, using: &generator))
          peer.reply(call, try call.call.arguments[0])
        }
      }
    }
  }

  private struct Outcome: Sendable {
    var number: Int
    var isRepeatable: Bool
    var result: Result<CallResult, RPCError>
  }

  @Test(
    "each call ends once: with its own answer, or with an error that is right about whether it was executed",
    arguments: 1...6)
  func unreliable(seed: UInt64) async throws {
    let world = World()
    let servers = [try Self.server(world, seed: seed), try Self.server(world, seed: seed + 100)]
    let client = LifecycleTests.client(ports: servers.map(\.port))
    var generator = SeededRandom(seed: seed)
    let outcomes = Lock<[Outcome]>([])
    let count = 3_000
    let finished = Latch()
    for number in 0..<count {
      let isRepeatable = Int.random(in: 0..<4, using: &generator) == 0
      var options = CallOptions(
        deadline: .milliseconds(Int.random(in: 1...300, using: &generator)),
        retry: RetryPolicy(
          attempts: Int.random(in: 1...4, using: &generator), repeatsIdempotent: isRepeatable))
      options.waitForReady = Bool.random(using: &generator)
      let handle = client.start(
        isRepeatable ? "math.repeatable" : "math.once", [.int(Int64(number))], options: options
      ) { result in
        let ended = outcomes.withLock { outcomes in
          outcomes.append(Outcome(number: number, isRepeatable: isRepeatable, result: result))
          return outcomes.count
        }
        if ended == count { finished.signal() }
      }
      if Int.random(in: 0..<10, using: &generator) == 0 { handle.cancel() }
      if number % 50 == 49 { await BindingTests.settle(client) }
    }
    await BindingTests.wait(for: finished)
    await client.close()
    for server in servers { server.stop() }
    let all = outcomes.withLock { $0 }
    #expect(all.count == count)
    #expect(Set(all.map(\.number)).count == count)
    for outcome in all {
      let executions = world.count(outcome.number)
      switch outcome.result {
      case .success(let result):
        #expect(result.values == [.int(Int64(outcome.number))])
        #expect(executions >= 1)
      case .failure(let error):
        #expect(error.exception != .protocolError, "\(error)")
        if error.executed == .no { #expect(executions == 0, "\(outcome.number): \(error)") }
      }
      if !outcome.isRepeatable { #expect(executions <= 1) }
    }
    // The servers are bad, but not that bad; how bad depends on the machine too.
    #expect(all.count { (try? $0.result.get()) != nil } > count / 100)
  }
}
