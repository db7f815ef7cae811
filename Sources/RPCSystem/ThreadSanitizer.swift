#if THREAD_SANITIZER
  // In a build for the thread sanitizer these stand before the functions of the same names in the module
  // _Concurrency, in every file that imports this module. Where a continuation is resumed before its task has gone
  // to sleep, Swift's runtime tells the sanitizer what was released (`swift_continuation_resume`), yet takes the
  // short way to the task's next step and never what that acquires: all that was made on the thread that resumed
  // would look like a race. Here the task acquires it. What the step itself does is not hidden by that.

  internal import CLinux

  package func withUnsafeContinuation<T>(
    isolation: isolated (any Actor)? = #isolation, _ body: (UnsafeContinuation<T, Never>) -> Void
  ) async -> sending T {
    let result = await _Concurrency.withUnsafeContinuation(isolation: isolation, body)
    acquireWhatResumedTask()
    return result
  }

  package func withCheckedContinuation<T>(
    isolation: isolated (any Actor)? = #isolation, function: String = #function,
    _ body: (CheckedContinuation<T, Never>) -> Void
  ) async -> sending T {
    let result = await _Concurrency.withCheckedContinuation(
      isolation: isolation, function: function, body)
    acquireWhatResumedTask()
    return result
  }

  package func withCheckedThrowingContinuation<T>(
    isolation: isolated (any Actor)? = #isolation, function: String = #function,
    _ body: (CheckedContinuation<T, any Error>) -> Void
  ) async throws -> sending T {
    defer { acquireWhatResumedTask() }
    return try await _Concurrency.withCheckedThrowingContinuation(
      isolation: isolation, function: function, body)
  }

  /// The runtime releases a task by its address.
  private func acquireWhatResumedTask() {
    withUnsafeCurrentTask { task in
      rpc_acquire(unsafeBitCast(task, to: UnsafeMutableRawPointer?.self))
    }
  }
#endif
