/// The bounds of the worker processes of one language. They hold for one loop.
public struct WorkerLimits: Hashable, Sendable {
  public init() {}

  /// Calls that run at once. Calls that wait for another call that they made do not count.
  public var workers = 4
  /// Calls beyond that which may run where nothing else of their service does: one service cannot keep others waiting.
  public var spareWorkers = 4
  /// Calls that may wait for others that they made, at each depth of nesting, before no more of that depth are
  /// started.
  public var waitingWorkers = 32
  /// Workers that were killed and are not gone yet, before no more are started.
  public var killedWorkers = 16
  /// Calls of one depth of nesting that wait for a worker; the next one is refused.
  public var queue = 1024
  /// Bytes of memory that a call may use with all processes that it started, beyond what its worker used
  /// before, unless its procedure declares another bound.
  public var memoryBytes = 512 * 1024 * 1024
  /// Bytes that a process may have allocated beyond that without using them, such as the stacks of threads.
  /// A process that asks for more gets a MemoryError.
  public var memorySlackBytes = 256 * 1024 * 1024
  /// How often the memory of calls is looked at, in milliseconds.
  public var lookMilliseconds = 100
  /// How long the parent of the workers may take to answer, in milliseconds: then it is replaced, with its workers.
  public var parentMilliseconds = 5000
  /// How long it may take to start, in milliseconds.
  public var startMilliseconds = 30_000
  /// Calls after which a worker is replaced. Each worker draws its own number between half and all of it,
  /// so that they are not replaced together.
  public var callsPerWorker = 100_000
  /// Bytes that a call may print before that fails it.
  public var printBytes = 8 * 1024 * 1024
  /// Bytes of a file that a procedure writes.
  public var fileBytes = 256 * 1024 * 1024
  /// Descriptors that a worker may have open.
  public var descriptors = 256
  /// Processes that one call may start.
  public var processes = 16
  /// How long a program that failed to start is left alone, in milliseconds.
  public var restartMilliseconds = 1000
}
