internal import RPCWire

/// Every bound of the procedure runtimes, in one place. They hold for one loop: a server with four loops has
/// four times the workers.
public struct RuntimeLimits: Hashable, Sendable {
  public init() {}

  // MARK: Both languages

  /// Bytes of a call's return values, encoded.
  public var outputBytes = WireLimits.frameBytes
  /// Bytes of output that one call may add to the log; the rest is dropped.
  public var logBytesPerCall = 64 * 1024
  /// Lines of output that one call may add to the log; the rest is dropped.
  public var logLinesPerCall = 1000
  /// How long loading a source may take, its top level included, in milliseconds.
  public var loadMilliseconds = 10_000
  /// Bytes of a procedure's source.
  public var sourceBytes = 4 * 1024 * 1024
  /// Characters of an error's message.
  public var messageCharacters = 8192

  // MARK: Python

  /// Worker processes at most.
  public var pythonWorkers = 4
  /// Calls that wait for a worker; the next one is refused.
  public var pythonQueue = 1024
  /// Bytes that a call may allocate beyond what the interpreter itself has, unless its procedure declares
  /// another bound.
  public var pythonMemoryBytes = 512 * 1024 * 1024
  /// Calls after which a worker is replaced. Each worker draws its own number between half and all of it,
  /// so that they are not replaced together.
  public var pythonCallsPerWorker = 100_000
  /// Bytes that a call may print before that fails it.
  public var pythonPrintBytes = 8 * 1024 * 1024
  /// Bytes of a file that a procedure writes.
  public var pythonFileBytes = 256 * 1024 * 1024
  /// Descriptors that a worker may have open.
  public var pythonDescriptors = 256
  /// Processes that one call may start.
  public var pythonProcesses = 16
  /// How long an interpreter that failed to start is left alone, in milliseconds.
  public var pythonRestartMilliseconds = 1000
}
