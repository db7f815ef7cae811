import RPCClient
import RPCProcedures
import RPCSystem
import RPCWire
import TestSupport
import Testing

@testable import RPCShell

/// The queue of a script's calls against a plain model, and the pipeline on it with answers in any order.
@Suite struct AnswerQueueTests {
  /// The same, written as plainly as possible.
  private struct Model {
    var entries: [(sequence: Int, question: Int, answer: Int?)] = []
    var next = 0

    mutating func append(_ question: Int) -> Int {
      entries.append((next, question, nil))
      next += 1
      return next - 1
    }

    mutating func answer(_ sequence: Int, _ answer: Int) -> Bool {
      guard let index = entries.firstIndex(where: { $0.sequence == sequence }), entries[index].answer == nil
      else { return false }
      entries[index].answer = answer
      return true
    }

    mutating func takeReady() -> [[Int]] {
      let ready = entries.prefix { $0.answer != nil }
      entries.removeFirst(ready.count)
      return ready.map { [$0.question, $0.answer ?? -1] }
    }
  }

  @Test("the queue does what a plain list does, whatever the order", arguments: 1...6 as ClosedRange<UInt64>)
  func model(seed: UInt64) {
    var random = SeededRandom(seed: seed)
    var queue = AnswerQueue<Int, Int>()
    var model = Model()
    for step in 0..<30_000 {
      // Long and short queues take turns, so that entries are dropped in both ways.
      let isFilling = model.entries.count < (step / 3000 % 2 == 0 ? 200 : 3)
      switch Int.random(in: 0..<10, using: &random) {
      case 0..<(isFilling ? 6 : 2):
        #expect(queue.append(step) == model.append(step), "seed \(seed), step \(step)")
      case 9:
        let taken = queue.takeReady().map { [$0.0, $0.1] }
        #expect(taken == model.takeReady(), "seed \(seed), step \(step)")
      default:
        // Also what was answered or taken before, and what was never asked.
        let oldest = model.entries.first?.sequence ?? model.next
        let sequence = Int.random(in: (oldest - 3)...(model.next + 2), using: &random)
        let isOpen = model.entries.contains { $0.sequence == sequence && $0.answer == nil }
        #expect(queue.isOpen(sequence) == isOpen, "seed \(seed), step \(step)")
        #expect(queue.answer(sequence, step) == model.answer(sequence, step), "seed \(seed), step \(step)")
      }
      #expect(queue.count == model.entries.count && queue.isReady == (model.entries.first?.answer != nil))
    }
    #expect(model.next > 4096)
  }

  @Test(
    "answers in any order are shown in the order of the lines, cancelled or not",
    arguments: [(1, false), (2, false), (3, true), (4, true), (5, true)] as [(UInt64, Bool)])
  func pipeline(seed: UInt64, cancels: Bool) async {
    let backend = ShuffledBackend(seed: seed)
    let shown = Lock<[Int]>([])
    let pipeline = CallPipeline(backend: backend) { origin, result in
      let answer = try? result.get().value.intValue
      shown.withLock { $0.append(origin.number) }
      #expect(answer == nil || answer == Int64(origin.number), "seed \(seed)")
    } idle: {
    }
    let count = 5000
    let cancelledAt = cancels ? 3000 : .max
    for number in 0..<count {
      let plan = CallPlan(request: CallRequest("x.y", [.int(Int64(number))]), target: .any)
      let line = CommandLine(parsing: "x.y \(number)")
      await pipeline.submit(
        CallPipeline.Origin(plan: plan, line: line, number: number, started: .now), limit: 1 + number % 97)
      if number == cancelledAt { pipeline.cancel() }
    }
    await pipeline.drain()
    pipeline.close()
    let numbers = shown.withLock { $0 }
    #expect(numbers == numbers.sorted(), "seed \(seed)")
    #expect(numbers.count + pipeline.givenUp == count, "seed \(seed)")
    #expect(cancels || pipeline.givenUp == 0)
    #expect(!cancels || pipeline.givenUp > 0)
  }
}

/// Answers each call with its argument, on threads of its own, in an order that a seed decides; a call that is
/// cancelled first is answered so.
private final class ShuffledBackend: ShellBackend {
  private struct State {
    var random: SeededRandom
    var open: [Int: @Sendable (Swift.Result<CallResult, RPCError>) -> Void] = [:]
    var arguments: [Int: Value] = [:]
    var next = 0
  }

  private struct Handle: CallCancellation {
    let backend: ShuffledBackend
    let number: Int
    func cancel() { backend.end(number, .failure(RPCError(.cancelled, "cancelled", executed: .maybe))) }
  }

  let topology = Topology(servers: [])
  let declared: [Procedure] = []
  let identity: String? = nil
  private let state: Lock<State>

  init(seed: UInt64) { state = Lock(State(random: SeededRandom(seed: seed))) }

  func state(of server: String) -> ServerState { .idle }
  func events() -> AsyncStream<ClientEvent> { AsyncStream { $0.finish() } }
  func ping(_ server: String) async throws(RPCError) -> Duration { .zero }
  func update(topology: Topology) {}
  func close() {}

  func start(
    _ request: CallRequest, completion: @escaping @Sendable (Swift.Result<CallResult, RPCError>) -> Void
  ) -> any CallCancellation {
    let (number, isAtOnce) = state.withLock { state in
      state.next += 1
      state.open[state.next] = completion
      state.arguments[state.next] = request.arguments[0]
      return (state.next, Int.random(in: 0..<10, using: &state.random) == 0)
    }
    // Some before `start` returns, the others from another thread.
    if isAtOnce { answerAny() } else { Blocking.start { [self] in answerAny() } }
    return Handle(backend: self, number: number)
  }

  private func answerAny() {
    let chosen = state.withLock { state -> (@Sendable (Swift.Result<CallResult, RPCError>) -> Void, Value)? in
      let numbers = state.open.keys.sorted()
      guard !numbers.isEmpty else { return nil }
      let number = numbers[Int.random(in: 0..<numbers.count, using: &state.random)]
      guard let completion = state.open.removeValue(forKey: number),
        let value = state.arguments.removeValue(forKey: number)
      else { return nil }
      return (completion, value)
    }
    guard let (completion, value) = chosen else { return }
    completion(.success(CallResult(values: [value], server: "s1", elapsed: .zero, attempts: 1)))
  }

  fileprivate func end(_ number: Int, _ result: Swift.Result<CallResult, RPCError>) {
    let completion = state.withLock { state in
      state.arguments[number] = nil
      return state.open.removeValue(forKey: number)
    }
    completion?(result)
  }
}
