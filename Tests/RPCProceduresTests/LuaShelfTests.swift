import RPCProcedures
import TestSupport
import Testing

@Suite("The interpreters that are kept")
struct LuaShelfTests {
  private final class Source: LuaShelfItem {
    let number: Int
    var lastUsed: UInt64
    var isUsed = false
    var isBusy = false

    init(_ number: Int, _ lastUsed: UInt64) {
      self.number = number
      self.lastUsed = lastUsed
    }
  }

  private static let seeds = (0..<8).map { _ in UInt64.random(in: .min ... .max) }

  /// What must go of `sources`: those that nobody calls and that are too many, the least wanted first.
  private func excess(_ sources: [Source], _ limit: Int, but newest: Source?) -> Set<Int> {
    let idle = sources.filter { !$0.isBusy }
    let leaving = idle.filter { $0 !== newest }
      .sorted { ($0.isUsed ? 1 : 0, $0.lastUsed) < ($1.isUsed ? 1 : 0, $1.lastUsed) }
      .prefix(max(0, idle.count - limit))
    return Set(leaving.map(\.number))
  }

  @Test("after random loads, calls and ends it holds what a sorted list would", arguments: seeds)
  func agreesWithAModel(seed: UInt64) {
    var random = SeededRandom(seed: seed)
    let limit = Int.random(in: 0...6, using: &random)
    var shelf = LuaShelf<Source>(limit: limit)
    var model: [Source] = []
    var number = 0
    var now: UInt64 = 1
    for _ in 0..<10_000 {
      // No two at once, so that it is told which one has waited longest.
      now += 1
      switch Int.random(in: 0..<10, using: &random) {
      case 0..<4:
        let source = Source(number, now)
        number += 1
        shelf.add(source)
        model.append(source)
        let wanted = excess(model, limit, but: source)
        let taken = shelf.trim(but: source)
        #expect(Set(taken.map(\.number)) == wanted, "seed \(seed)")
        model.removeAll { wanted.contains($0.number) }
      case 4..<7:
        guard let source = model.randomElement(using: &random) else { continue }
        source.isUsed = true
        source.lastUsed = now
        source.isBusy = Bool.random(using: &random)
        let wanted = excess(model, limit, but: nil)
        let taken = shelf.trim()
        #expect(Set(taken.map(\.number)) == wanted, "seed \(seed)")
        model.removeAll { wanted.contains($0.number) }
      case 7:
        guard let source = model.randomElement(using: &random) else { continue }
        shelf.remove(source)
        shelf.remove(source)
        model.removeAll { $0 === source }
      default:
        let time = now - min(now, UInt64.random(in: 0...40, using: &random))
        let wanted = model.filter { !$0.isBusy && $0.lastUsed < time }
        let taken = shelf.takeUnused(since: time)
        #expect(Set(taken.map(\.number)) == Set(wanted.map(\.number)), "seed \(seed)")
        model.removeAll { source in wanted.contains { $0 === source } }
      }
      #expect(Set(shelf.sources.map(\.number)) == Set(model.map(\.number)), "seed \(seed)")
      #expect(model.count { !$0.isBusy } <= max(limit, 1), "seed \(seed)")
    }
  }
}
