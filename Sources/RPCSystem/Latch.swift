internal import Glibc

/// A latch that opens once and lets every waiter through, from any thread.
///
/// `@unchecked Sendable`: the semaphore's memory is written by `init` and `deinit` only; between them it is
/// used through POSIX calls that are made for many threads (POSIX.1-2017, sem_post, sem_wait).
package final class Latch: @unchecked Sendable {
  private struct State {
    var isOpen = false
    var tasks: [CheckedContinuation<Void, Never>] = []
  }

  private let state = Lock(State())
  private let semaphore: UnsafeMutablePointer<sem_t>

  package init() {
    semaphore = .allocate(capacity: 1)
    semaphore.initialize(to: sem_t())
    sem_init(semaphore, 0, 0)
  }

  deinit {
    sem_destroy(semaphore)
    semaphore.deallocate()
  }

  /// Opens the latch.
  package func signal() {
    let tasks = state.withLock { state -> [CheckedContinuation<Void, Never>]? in
      guard !state.isOpen else { return nil }
      state.isOpen = true
      defer { state.tasks = [] }
      return state.tasks
    }
    guard let tasks else { return }
    sem_post(semaphore)
    for task in tasks { task.resume() }
  }

  /// Waits as a task, which holds no thread meanwhile.
  package func opened() async {
    await withCheckedContinuation { continuation in
      let isOpen = state.withLock { state in
        if !state.isOpen { state.tasks.append(continuation) }
        return state.isOpen
      }
      if isOpen { continuation.resume() }
    }
  }

  /// Blocks the calling thread until the latch is open.
  package func wait() {
    while sem_wait(semaphore) != 0 {}
    // Lets the next waiter through too.
    sem_post(semaphore)
  }
}
