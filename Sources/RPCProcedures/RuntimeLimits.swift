internal import RPCWire

/// Every bound of the procedure runtimes, in one place. They hold for one loop: a server with four loops has
/// four times the workers.
public struct RuntimeLimits: Hashable, Sendable {
  public init() {
    python = WorkerLimits()
  }

  // MARK: All languages

  /// Bytes of a call's return values, encoded.
  public var outputBytes = WireLimits.frameBytes
  /// Bytes of output that one call may add to the log; the rest is dropped.
  public var logBytesPerCall = 64 * 1024
  /// Lines of output that one call may add to the log; the rest is dropped.
  public var logLinesPerCall = 1000
  /// Bytes of output in a second that all calls of one procedure together may add to a loop's log; the rest is
  /// dropped.
  public var logBytesPerSecond = 256 * 1024
  /// Bytes of output in a second that all procedures together may add to a loop's log.
  public var logBytesPerSecondOfAll = 1024 * 1024
  /// How long loading a source may take, its top level included, in milliseconds.
  public var loadMilliseconds = 10_000
  /// Bytes of a procedure's source.
  public var sourceBytes = 4 * 1024 * 1024
  /// Characters of an error's message.
  public var messageCharacters = 8192

  /// Calls of a procedure that end their worker, by a signal or an exit, before no more are begun until the next
  /// deployment; 0 for never.
  public var quarantineCrashes = 5
  /// Within how many milliseconds.
  public var quarantineMilliseconds = 60_000

  // MARK: Python

  public var python: WorkerLimits

  // MARK: Lua

  /// Bytes that a call may hold, unless its procedure declares another bound.
  public var luaMemoryBytes = 64 * 1024 * 1024
  /// How many times that all calls of a source together may hold.
  public var luaMachineShares = 4
  /// Bytes of one string or table.
  public var luaValueBytes = 16 * 1024 * 1024
  /// Bytes of a source: compiling it is not sliced.
  public var luaSourceBytes = 1024 * 1024
  /// Slices of about a millisecond that one call may use up: the bound on its instructions.
  public var luaSlicesPerCall = 60_000
  /// Calls that may run or wait; the next one is refused.
  public var luaCallsInFlight = 4096
  /// Processor time that a call may spend where it cannot be paused, in milliseconds: in a metamethod that a
  /// library function calls.
  public var luaUnpausableMilliseconds = 10
  /// Processor time that all of a call's slices may take that took longer than that, in milliseconds.
  public var luaOverrunMilliseconds = 250
  /// Processor time that one operation of the interpreter may take, such as a step of the collector, in
  /// milliseconds. What takes longer costs the whole interpreter.
  public var luaOperationMilliseconds = 200
  /// How long a source is refused whose interpreter had to be given up, in milliseconds.
  public var luaRefusalMilliseconds = 1000
  /// Bytes of garbage that wait for the next call to collect them.
  public var luaIdleGarbageBytes = 4 * 1024 * 1024
  /// Interpreters that are kept while nobody calls their sources: those that were called last. The next call of any other
  /// source loads it again.
  public var luaIdleInterpreters = 128
  /// How long they are kept, in milliseconds.
  public var luaIdleMilliseconds = 60_000
  /// Bytes of a source whose interpreter is kept all the same: compiling it is not sliced.
  public var luaIdleSourceBytes = 64 * 1024
}
