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
  ///
  /// - Parameter isReady: passes over calls that cannot start yet.
  package mutating func popNext(
    where mayStart: (Int) -> Bool, isReady: (Job) -> Bool = { _ in true }
  ) -> Job? {
    for depth in byDepth.indices.reversed() where !byDepth[depth].isEmpty && mayStart(depth) {
      if let job = byDepth[depth].popFirst(where: isReady) { return job }
    }
    return nil
  }

  /// Whether `popNext` would find one.
  package func hasNext(where mayStart: (Int) -> Bool) -> Bool {
    byDepth.indices.contains { !byDepth[$0].isEmpty && mayStart($0) }
  }

  package mutating func removeAll() -> [Job] {
    byDepth.indices.reversed().flatMap { byDepth[$0].removeAll() }
  }
}
