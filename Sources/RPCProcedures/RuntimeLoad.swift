/// How busy a runtime is on one loop.
package struct RuntimeLoad: Hashable, Sendable {
  /// Calls that have begun and not ended.
  package var running = 0
  /// Calls that wait for a worker, or for their source to be loaded.
  package var queued = 0
  /// Processes that run calls, busy or not.
  package var workers = 0

  package init(running: Int = 0, queued: Int = 0, workers: Int = 0) {
    self.running = running
    self.queued = queued
    self.workers = workers
  }

  package static func + (left: RuntimeLoad, right: RuntimeLoad) -> RuntimeLoad {
    RuntimeLoad(
      running: left.running + right.running, queued: left.queued + right.queued,
      workers: left.workers + right.workers)
  }
}
