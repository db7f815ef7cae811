/// How many workers wait for calls that their own calls made. A worker that waits takes no worker's place, or calls that
/// call each other could wait for ever; but each is a process, so there is a bound on them, for each depth of nesting. Calls
/// of the greatest depth make none, so they end, and so do in turn those that wait for them: nobody waits for ever.
package struct WaitingWorkers {
  private var byDepth: [Int]
  private let limit: Int
  package private(set) var count = 0

  /// - Parameter limit: workers that wait at one depth before no more calls of that depth are started.
  package init(depthMax: Int, limit: Int) {
    byDepth = Array(repeating: 0, count: depthMax + 1)
    self.limit = limit
  }

  package func mayStart(depth: Int) -> Bool { byDepth[depth] < limit }

  package mutating func began(depth: Int) {
    byDepth[depth] += 1
    count += 1
  }

  package mutating func ended(depth: Int) {
    precondition(byDepth[depth] > 0, "a worker that ends waiting has begun to")
    byDepth[depth] -= 1
    count -= 1
  }
}
