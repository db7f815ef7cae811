import RPCSystem
import RPCWire
import TestSupport
import Testing

@testable import RPCTransport

@Suite("Memory of all connections")
struct MemoryTests {
  @Test("what fits exactly fits, and a byte more does not")
  func limit() {
    let budget = MemoryBudget(limit: 1000)
    budget.change(by: 600, isStranger: false)
    #expect(budget.excess(of: 400, isStranger: false) == nil)
    let excess = budget.excess(of: 401, isStranger: false)
    #expect(excess?.actual == 1001 && excess?.limit == 1000)
    budget.change(by: -600, isStranger: false)
    #expect(budget.heldBytes == 0)
  }

  @Test("strangers share a quarter, and count in the whole too")
  func strangers() {
    let budget = MemoryBudget(limit: 1000)
    budget.change(by: 200, isStranger: true)
    #expect(budget.excess(of: 50, isStranger: true) == nil)
    let excess = budget.excess(of: 51, isStranger: true)
    #expect(excess?.actual == 251 && excess?.limit == 250)
    #expect(budget.excess(of: 800, isStranger: false) == nil)
    #expect(budget.excess(of: 801, isStranger: false) != nil)
    budget.move(200, toStrangers: false)
    #expect(budget.excess(of: 250, isStranger: true) == nil)
    #expect(budget.heldBytes == 200 && budget.heldByStrangersBytes == 0)
  }

  @Test("memory is given back once, when most of much is free", arguments: [-1, 0])
  func trim(offset: Int) {
    let trims = Lock(0)
    let budget = MemoryBudget { trims.withLock { $0 += 1 } }
    let most = MemoryBudget.trimBytes + offset
    budget.change(by: most, isStranger: false)
    budget.change(by: -(most - most / 4), isStranger: false)
    #expect(trims.withLock { $0 } == 0)
    budget.change(by: -1, isStranger: false)
    #expect(trims.withLock { $0 } == (offset < 0 ? 0 : 1))
    budget.change(by: -(most / 4 - 1), isStranger: false)
    #expect(trims.withLock { $0 } == (offset < 0 ? 0 : 1))
    #expect(budget.heldBytes == 0)
  }

  @Test("a pool keeps no more bytes than its bound, whatever it is given back")
  func pool() {
    var pool = BufferPool()
    defer { pool.removeAll() }
    var random = SystemRandomNumberGenerator()
    for _ in 0..<500 {
      var queue = Bool.random(using: &random) ? pool.take() : ByteQueue()
      queue.reserve(1 << Int.random(in: 8...21, using: &random))
      pool.giveBack(&queue)
      #expect(pool.keptBytes <= BufferPool.keptBytesTotal)
    }
    #expect(pool.keptBytes > 0)
  }

  @Test(
    "a queue says beforehand what it will grow by", arguments: [1, 2, 3] as [UInt64])
  func growth(seed: UInt64) {
    var generator = SeededRandom(seed: seed)
    func random(_ bound: Int) -> Int { Int.random(in: 0..<bound, using: &generator) }
    var queue = ByteQueue()
    for _ in 0..<5000 {
      if random(3) == 0 {
        queue.consume(random(queue.count + 1))
      } else {
        let extra = random(300)
        let before = queue.allocatedBytes
        let growth = queue.growth(of: extra)
        queue.reserve(extra)
        #expect(queue.allocatedBytes == before + growth)
        #expect(queue.growth(of: queue.spareBytes) == 0 && queue.growth(of: queue.spareBytes + 1) > 0)
        for _ in 0..<random(extra + 1) { queue.append(0 as UInt8) }
      }
    }
  }
}
