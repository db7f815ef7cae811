import ArgumentParser
import RPCServer

/// A flag of one of `RuntimeLimits`.
typealias RuntimeBound = (
  flag: String, value: Int, range: ClosedRange<Int>, limit: WritableKeyPath<RuntimeLimits, Int>
)

private let defaults = RuntimeLimits()

/// The flags of what all procedures are bound by, each on one loop.
struct ProcedureOptions: ParsableArguments {
  @Option(help: "Bytes of a call's return values, encoded.")
  var maxResult = defaults.outputBytes

  @Option(help: "Bytes of output that one call may add to the log.")
  var maxLogPerCall = defaults.logBytesPerCall

  @Option(help: "Lines of output that one call may add to the log.")
  var maxLogLinesPerCall = defaults.logLinesPerCall

  @Option(help: "Bytes of output in a second that all calls of a procedure may add to the log.")
  var maxLogPerSecond = defaults.logBytesPerSecond

  @Option(help: "Bytes of output in a second that all procedures may add to the log.")
  var maxLogPerSecondOfAll = defaults.logBytesPerSecondOfAll

  @Option(help: "How long loading a source may take, in milliseconds.")
  var loadTimeout = defaults.loadMilliseconds

  @Option(help: "Bytes of a procedure's source.")
  var maxSource = defaults.sourceBytes

  @Option(help: "Characters of an error's message.")
  var maxMessage = defaults.messageCharacters

  @Option(help: "Calls of a procedure that end their worker before it is called no more; 0 for never.")
  var quarantineCrashes = defaults.quarantineCrashes

  @Option(help: "Within how many milliseconds.")
  var quarantineWindow = defaults.quarantineMilliseconds

  var bounds: [RuntimeBound] {
    [
      ("--max-result", maxResult, 4096...268_435_456, \.outputBytes),
      ("--max-log-per-call", maxLogPerCall, 0...1_073_741_824, \.logBytesPerCall),
      ("--max-log-lines-per-call", maxLogLinesPerCall, 0...1_000_000, \.logLinesPerCall),
      ("--max-log-per-second", maxLogPerSecond, 0...1_073_741_824, \.logBytesPerSecond),
      ("--max-log-per-second-of-all", maxLogPerSecondOfAll, 0...1_073_741_824, \.logBytesPerSecondOfAll),
      ("--load-timeout", loadTimeout, 1...3_600_000, \.loadMilliseconds),
      ("--max-source", maxSource, 1...268_435_456, \.sourceBytes),
      ("--max-message", maxMessage, 64...1_048_576, \.messageCharacters),
      ("--quarantine-crashes", quarantineCrashes, 0...1_000_000, \.quarantineCrashes),
      ("--quarantine-window", quarantineWindow, 1...86_400_000, \.quarantineMilliseconds),
    ]
  }

  func validate() throws {
    for bound in bounds { try LimitOptions.require(bound.value, bound.range, bound.flag) }
  }
}

/// The flags of what Python's workers are bound by, each on one loop.
struct PythonOptions: ParsableArguments {
  @Option(help: "Calls that run at once.")
  var pythonWorkers = defaults.python.workers

  @Option(help: "Calls beyond that which may run where nothing else of their service does.")
  var pythonSpareWorkers = defaults.python.spareWorkers

  @Option(help: "Calls that may wait for others that they made, at each depth of nesting.")
  var pythonWaitingWorkers = defaults.python.waitingWorkers

  @Option(help: "Calls of one depth of nesting that wait for a worker.")
  var pythonQueue = defaults.python.queue

  @Option(help: "Bytes of memory that a call may use, unless its procedure declares another bound.")
  var pythonMemory = defaults.python.memoryBytes

  @Option(help: "Bytes that a process may have allocated beyond that without using them.")
  var pythonMemorySlack = defaults.python.memorySlackBytes

  @Option(help: "How often the memory of calls is looked at, in milliseconds.")
  var pythonLookInterval = defaults.python.lookMilliseconds

  @Option(help: "How long the parent of the workers may take to answer, in milliseconds.")
  var pythonParentTimeout = defaults.python.parentMilliseconds

  @Option(help: "How long it may take to start, in milliseconds.")
  var pythonStartTimeout = defaults.python.startMilliseconds

  @Option(help: "Calls after which a worker is replaced.")
  var pythonCallsPerWorker = defaults.python.callsPerWorker

  @Option(help: "Bytes that a call may print before that fails it.")
  var pythonPrint = defaults.python.printBytes

  @Option(help: "Bytes of a file that a procedure writes.")
  var pythonFile = defaults.python.fileBytes

  @Option(help: "Descriptors that a worker may have open.")
  var pythonDescriptors = defaults.python.descriptors

  @Option(help: "Processes that one call may start.")
  var pythonProcesses = defaults.python.processes

  @Option(help: "How long an interpreter that failed to start is left alone, in milliseconds.")
  var pythonRestartDelay = defaults.python.restartMilliseconds

  var bounds: [RuntimeBound] {
    [
      ("--python-workers", pythonWorkers, 1...1024, \.python.workers),
      ("--python-spare-workers", pythonSpareWorkers, 0...1024, \.python.spareWorkers),
      ("--python-waiting-workers", pythonWaitingWorkers, 1...1024, \.python.waitingWorkers),
      ("--python-queue", pythonQueue, 0...1_000_000, \.python.queue),
      ("--python-memory", pythonMemory, 1_048_576...1_099_511_627_776, \.python.memoryBytes),
      ("--python-memory-slack", pythonMemorySlack, 0...1_099_511_627_776, \.python.memorySlackBytes),
      ("--python-look-interval", pythonLookInterval, 10...60_000, \.python.lookMilliseconds),
      ("--python-parent-timeout", pythonParentTimeout, 100...3_600_000, \.python.parentMilliseconds),
      ("--python-start-timeout", pythonStartTimeout, 100...3_600_000, \.python.startMilliseconds),
      ("--python-calls-per-worker", pythonCallsPerWorker, 1...1_000_000_000, \.python.callsPerWorker),
      ("--python-print", pythonPrint, 0...1_073_741_824, \.python.printBytes),
      ("--python-file", pythonFile, 0...1_099_511_627_776, \.python.fileBytes),
      ("--python-descriptors", pythonDescriptors, 16...1_000_000, \.python.descriptors),
      ("--python-processes", pythonProcesses, 0...100_000, \.python.processes),
      ("--python-restart-delay", pythonRestartDelay, 0...3_600_000, \.python.restartMilliseconds),
    ]
  }

  func validate() throws {
    for bound in bounds { try LimitOptions.require(bound.value, bound.range, bound.flag) }
  }
}

/// The flags of what Lua is bound by, each on one loop.
struct LuaOptions: ParsableArguments {
  @Option(help: "Bytes that a call may hold, unless its procedure declares another bound.")
  var luaMemory = defaults.luaMemoryBytes

  @Option(help: "How many times that all calls of a source together may hold.")
  var luaMachineShares = defaults.luaMachineShares

  @Option(help: "Bytes of one string or table.")
  var luaValue = defaults.luaValueBytes

  @Option(help: "Bytes of a source: compiling it is not sliced.")
  var luaSource = defaults.luaSourceBytes

  @Option(help: "Slices of about a millisecond that one call may use up.")
  var luaSlices = defaults.luaSlicesPerCall

  @Option(help: "Calls that may run or wait.")
  var luaCalls = defaults.luaCallsInFlight

  @Option(help: "Processor time that a call may spend where it cannot be paused, in milliseconds.")
  var luaUnpausable = defaults.luaUnpausableMilliseconds

  @Option(help: "Processor time of all slices of a call that took longer than that, in milliseconds.")
  var luaOverrun = defaults.luaOverrunMilliseconds

  @Option(help: "Processor time that one operation of the interpreter may take, in milliseconds.")
  var luaOperation = defaults.luaOperationMilliseconds

  @Option(help: "How long a source is refused whose interpreter had to be given up, in milliseconds.")
  var luaRefusal = defaults.luaRefusalMilliseconds

  @Option(help: "Bytes of garbage that wait for the next call to collect them.")
  var luaIdleGarbage = defaults.luaIdleGarbageBytes

  @Option(help: "Interpreters that are kept while nobody calls their sources: those that were called last.")
  var luaIdleInterpreters = defaults.luaIdleInterpreters

  @Option(help: "How long they are kept, in milliseconds.")
  var luaIdleTime = defaults.luaIdleMilliseconds

  @Option(help: "Bytes of a source whose interpreter is kept all the same: compiling it is not sliced.")
  var luaIdleSource = defaults.luaIdleSourceBytes

  var bounds: [RuntimeBound] {
    [
      ("--lua-memory", luaMemory, 1_048_576...1_099_511_627_776, \.luaMemoryBytes),
      ("--lua-machine-shares", luaMachineShares, 1...1024, \.luaMachineShares),
      ("--lua-value", luaValue, 4096...1_073_741_824, \.luaValueBytes),
      ("--lua-source", luaSource, 1...268_435_456, \.luaSourceBytes),
      ("--lua-slices", luaSlices, 1...1_000_000_000, \.luaSlicesPerCall),
      ("--lua-calls", luaCalls, 1...1_000_000, \.luaCallsInFlight),
      ("--lua-unpausable", luaUnpausable, 1...10_000, \.luaUnpausableMilliseconds),
      ("--lua-overrun", luaOverrun, 1...60_000, \.luaOverrunMilliseconds),
      ("--lua-operation", luaOperation, 1...60_000, \.luaOperationMilliseconds),
      ("--lua-refusal", luaRefusal, 0...3_600_000, \.luaRefusalMilliseconds),
      ("--lua-idle-garbage", luaIdleGarbage, 0...1_073_741_824, \.luaIdleGarbageBytes),
      ("--lua-idle-interpreters", luaIdleInterpreters, 0...1_000_000, \.luaIdleInterpreters),
      ("--lua-idle-time", luaIdleTime, 1...86_400_000, \.luaIdleMilliseconds),
      ("--lua-idle-source", luaIdleSource, 0...268_435_456, \.luaIdleSourceBytes),
    ]
  }

  func validate() throws {
    for bound in bounds { try LimitOptions.require(bound.value, bound.range, bound.flag) }
  }
}
