#if THREAD_SANITIZER
  internal import Glibc
#else
  public import Synchronization
#endif

/// A value that one thread at a time may use: a `Mutex` of the module Synchronization.
///
/// In a build for the thread sanitizer it is a POSIX mutex instead. A contended `Mutex` is passed on inside the
/// kernel (FUTEX_LOCK_PI), where the sanitizer cannot see who handed it to whom, so that each of its owners would
/// look like a race.
///
/// `public`, though no embedder sees it: the compiler specialises no generic of `package` access for other modules.
#if THREAD_SANITIZER
  // `@unchecked`: the value is touched only between locking and unlocking.
  public struct Lock<Value: ~Copyable>: ~Copyable, @unchecked Sendable {
    private let mutex: UnsafeMutablePointer<pthread_mutex_t>
    private let pointer: UnsafeMutablePointer<Value>

    public init(_ value: consuming sending Value) {
      mutex = .allocate(capacity: 1)
      pthread_mutex_init(mutex, nil)
      pointer = .allocate(capacity: 1)
      pointer.initialize(to: value)
    }

    deinit {
      pointer.deinitialize(count: 1)
      pointer.deallocate()
      pthread_mutex_destroy(mutex)
      mutex.deallocate()
    }

    /// Runs `body` with the value while every other thread waits.
    public borrowing func withLock<Result: ~Copyable, Failure: Error>(
      _ body: (inout sending Value) throws(Failure) -> sending Result
    ) throws(Failure) -> sending Result {
      pthread_mutex_lock(mutex)
      defer { pthread_mutex_unlock(mutex) }
      return try body(&pointer.pointee)
    }
  }
#else
  @frozen
  public struct Lock<Value: ~Copyable>: ~Copyable, Sendable {
    @usableFromInline internal let mutex: Mutex<Value>

    @inlinable
    public init(_ value: consuming sending Value) {
      mutex = Mutex(value)
    }

    /// Runs `body` with the value while every other thread waits.
    @inlinable
    public borrowing func withLock<Result: ~Copyable, Failure: Error>(
      _ body: (inout sending Value) throws(Failure) -> sending Result
    ) throws(Failure) -> sending Result {
      try mutex.withLock(body)
    }
  }
#endif
