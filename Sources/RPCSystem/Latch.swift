internal import Glibc

/// A latch that opens once and lets every waiter through, from any thread.
///
/// `@unchecked Sendable`: the semaphore's memory is written by `init` and `deinit` only; between them it is
/// used through POSIX calls that are made for many threads (POSIX.1-2017, sem_post, sem_wait).
public final class Latch: @unchecked Sendable {
  private let isDone = Lock(false)
  private let semaphore: UnsafeMutablePointer<sem_t>

  public init() {
    semaphore = .allocate(capacity: 1)
    semaphore.initialize(to: sem_t())
    sem_init(semaphore, 0, 0)
  }

  deinit {
    sem_destroy(semaphore)
    semaphore.deallocate()
  }

  public func signal() {
    let first = isDone.withLock { done in
      defer { done = true }
      return !done
    }
    if first { sem_post(semaphore) }
  }

  public func wait() {
    while sem_wait(semaphore) != 0 {}
    // Lets the next waiter through too.
    sem_post(semaphore)
  }
}
