import RPCProcedures
import RPCWire
import TestSupport
import Testing

@Suite("The queues of the runtimes")
struct WorkerQueueTests {
  private static let seeds = (0..<8).map { _ in UInt64.random(in: .min ... .max) }

  /// A waiting call of the model, and its ticket in the queue.
  private struct Waiting {
    var number: Int
    var depth: Int
    var deadline: Int
    var connection: Int
    var ticket: CallQueue<Int>.Ticket
  }

  @Test(
    "random submits, cancels, timeouts and disconnects leave what a plain list would hold", arguments: seeds)
  func agreesWithAModel(seed: UInt64) {
    var random = SeededRandom(seed: seed)
    let depthMax = 4
    var queue = CallQueue<Int>(depthMax: depthMax)
    var model: [Waiting] = []
    var gone: [Waiting] = []
    var number = 0

    func leave(where leaves: (Waiting) -> Bool) {
      var leaving = model.filter(leaves)
      model.removeAll(where: leaves)
      // In any order, and also last first, which is how a stack of callers gives up.
      if Bool.random(using: &random) { leaving.reverse() } else { leaving.shuffle(using: &random) }
      for call in leaving {
        #expect(queue.remove(call.ticket, depth: call.depth) == call.number, "seed \(seed)")
      }
      gone += leaving
    }

    for step in 0..<20_000 {
      // Times of growth and times of decline.
      let grows = step / 2000 % 2 == 0
      switch Int.random(in: 0..<100, using: &random) {
      case 0..<(grows ? 60 : 25):
        number += 1
        let depth = Bool.random(using: &random) ? 0 : Int.random(in: 0...depthMax, using: &random)
        let ticket = queue.append(number, depth: depth)
        model.append(
          Waiting(
            number: number, depth: depth, deadline: step + Int.random(in: 1...3000, using: &random),
            connection: Int.random(in: 0..<50, using: &random), ticket: ticket))
      case 60..<75:
        if let call = model.randomElement(using: &random) { leave { $0.number == call.number } }
      case 75..<80: leave { $0.deadline < step }
      case 80..<82:
        let connection = Int.random(in: 0..<50, using: &random)
        leave { $0.connection == connection }
      case 82..<85:
        // One that has left is not found again, whichever has its slot now.
        if let call = gone.randomElement(using: &random) {
          #expect(queue.remove(call.ticket, depth: call.depth) == nil, "seed \(seed)")
        }
      default:
        let refused = Int.random(in: 0...depthMax + 3, using: &random)
        let expected = model.filter { $0.depth != refused }
          .max { ($0.depth, -$0.number) < ($1.depth, -$1.number) }
        #expect(queue.hasNext { $0 != refused } == (expected != nil), "seed \(seed)")
        #expect(queue.popNext { $0 != refused } == expected?.number, "seed \(seed)")
        if let expected {
          model.removeAll { $0.number == expected.number }
          gone.append(expected)
        }
      }
      #expect(queue.count == model.count, "seed \(seed), step \(step)")
      if step % 500 == 0 {
        for depth in 0...depthMax {
          #expect(queue.count(at: depth) == model.count { $0.depth == depth }, "seed \(seed)")
          #expect(queue.isEmpty(from: depth) == !model.contains { $0.depth >= depth }, "seed \(seed)")
        }
      }
    }
    let rest = model.sorted { ($1.depth, $0.number) < ($0.depth, $1.number) }.map(\.number)
    #expect(queue.removeAll() == rest, "seed \(seed)")
    #expect(queue.count == 0)
  }

  @Test("a queue keeps its order when a crowd has come and gone, and old tickets stay void")
  func crowds() {
    var queue = RemovableQueue<Int>()
    var tickets: [RemovableQueue<Int>.Ticket] = []
    for _ in 0..<3 {
      tickets = (0..<5000).map { queue.append($0) }
      for ticket in tickets.reversed() { queue.remove(ticket) }
      #expect(queue.isEmpty)
      #expect(queue.first == nil)
    }
    queue.append(1)
    queue.append(2)
    for ticket in tickets { #expect(queue.remove(ticket) == nil) }
    #expect(queue.popFirst() == 1)
    #expect(queue.first == 2)
    #expect(queue.removeAll() == [2])
    #expect(queue.popFirst() == nil)
  }

  @Test("calls whose depth has its share of waiting workers are not started, one below it is")
  func waitingWorkers() {
    var waiting = WaitingWorkers(depthMax: 2, limit: 2)
    waiting.began(depth: 0)
    #expect(waiting.mayStart(depth: 0))
    waiting.began(depth: 0)
    #expect(!waiting.mayStart(depth: 0))
    #expect(waiting.mayStart(depth: 1))
    #expect(waiting.count == 2)
    waiting.ended(depth: 0)
    #expect(waiting.mayStart(depth: 0))
    #expect(waiting.count == 1)
  }

  /// Every call of a random crowd ends, and the runtime runs calls afterwards.
  private func survivesACrowd(
    _ runtime: RuntimeHarness, _ unit: SourceUnit, _ argument: @escaping (inout SeededRandom) -> Value,
    seed: UInt64
  ) async throws {
    var random = SeededRandom(seed: seed)
    try await runtime.prepare(unit)
    for _ in 0..<4 {
      var calls: [PendingCall] = []
      for _ in 0..<400 {
        let milliseconds =
          Int.random(in: 0..<3, using: &random) == 0 ? Int.random(in: 1...40, using: &random) : nil
        calls.append(await runtime.start(unit, [argument(&random)], milliseconds: milliseconds))
        if Int.random(in: 0..<4, using: &random) == 0, let call = calls.randomElement(using: &random) {
          await runtime.cancel(call)
        }
      }
      // The last ones first, as when a pipeline is given up.
      for call in calls.reversed() where Int.random(in: 0..<3, using: &random) > 0 {
        await runtime.cancel(call)
      }
      for call in calls { _ = try await failure { try await call.result() } }
      #expect(try await runtime.call(unit, [0.0], milliseconds: 60_000) == [0.0], "seed \(seed)")
    }
  }

  @Test(
    "Python answers after hundreds of queued calls were given up in any order", arguments: seeds.prefix(2))
  func pythonCrowd(seed: UInt64) async throws {
    let python = try RuntimeHarness.python { $0.python.workers = 2 }
    let unit = SourceUnit.make(
      "nap(float) -> float", .python, "import time\ndef nap(a):\n  time.sleep(a)\n  return a")
    do {
      try await survivesACrowd(
        python, unit, { .float(Int.random(in: 0..<100, using: &$0) == 0 ? 0.05 : 0.001) }, seed: seed)
    } catch {
      await python.close()
      throw error
    }
    await python.close()
  }

  @Test("Lua answers after hundreds of paused calls were given up in any order", arguments: seeds.prefix(2))
  func luaCrowd(seed: UInt64) async throws {
    try await withLua { lua in
      let unit = SourceUnit.make(
        "spin(float) -> float", .lua, "function spin(a) for i = 1, a * 1e6 do end return a end")
      try await survivesACrowd(
        lua, unit, { .float(Int.random(in: 0..<50, using: &$0) == 0 ? 0.5 : 0.01) }, seed: seed)
    }
  }

  @Test("giving up more than 64 queued calls, the last first, leaves the queue whole")
  func lastFirst() async throws {
    let python = try RuntimeHarness.python { $0.python.workers = 1 }
    let unit = SourceUnit.make("wait(bool) -> int", .python, "def wait(a):\n  while a: pass\n  return 1")
    try await python.prepare(unit)
    let running = await python.start(unit, [true])
    var calls: [PendingCall] = []
    for _ in 0..<300 { calls.append(await python.start(unit, [false])) }
    for call in calls.reversed() { await python.cancel(call) }
    for call in calls {
      let error = try await failure { try await call.result() }
      #expect(error?.exception == .cancelled)
      #expect(error?.executed == .no)
    }
    await python.cancel(running)
    #expect(try await python.call(unit, [false], milliseconds: 60_000) == [1])
    await python.close()
  }
}
