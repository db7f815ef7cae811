import RPCTransport

/// Runs what blocks on a thread of its own, so that tasks have theirs.
func onThread<Result>(_ body: @escaping () -> Result) async -> Result {
  nonisolated(unsafe) let body = body
  nonisolated(unsafe) let result: Result = await withCheckedContinuation { continuation in
    do {
      try LoopThread.spawn(name: "blocking") {
        nonisolated(unsafe) let result = body()
        continuation.resume(returning: result)
      }
    } catch {
      preconditionFailure("\(error)")
    }
  }
  return result
}
