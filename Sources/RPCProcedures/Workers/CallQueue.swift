/// Calls that wait for a worker: the most deeply nested ones first, since others wait for them, and within one depth
/// first come first served.
package struct CallQueue<Job> {
  package typealias Ticket = RemovableQueue<Job>.Ticket

  private var byDepth: [RemovableQueue<Job>]

  /// - Parameter depthMax: how deep calls may be nested; 0 stands for those that are not.
  package init(depthMax: Int) {
    byDepth = Array(repeating: RemovableQueue(), count: depthMax + 1)
  }

  /// How many wait at one depth.
  package func count(at depth: Int) -> Int { byDepth[depth].count }

  package var count: Int { byDepth.reduce(0) { $0 + $1.count } }

  /// Whether nobody waits who comes before a new call of that depth.
  package func isEmpty(from depth: Int) -> Bool { byDepth[depth...].allSatisfy(\.isEmpty) }

  package mutating func append(_ job: Job, depth: Int) -> Ticket {
    byDepth[depth].append(job)
  }

  /// Takes out a call that waits no more. Nil where it had left already.
  @discardableResult
  package mutating func remove(_ ticket: Ticket, depth: Int) -> Job? {
    byDepth[depth].remove(ticket)
  }

  /// Takes out the next call of a depth that `mayStart`.
  package mutating func popNext(where mayStart: (Int) -> Bool) -> Job? {
    guard let depth = byDepth.indices.reversed().first(where: { !byDepth[$0].isEmpty && mayStart($0) }) else {
      return nil
    }
    return byDepth[depth].popFirst()
  }

  /// Whether `popNext` would find one.
  package func hasNext(where mayStart: (Int) -> Bool) -> Bool {
    byDepth.indices.contains { !byDepth[$0].isEmpty && mayStart($0) }
  }

  package mutating func removeAll() -> [Job] {
    byDepth.indices.reversed().flatMap { byDepth[$0].removeAll() }
  }
}
