import Glibc
import RPCProcedures
import RPCSystem
import RPCTransport
import RPCWire
import Synchronization

/// A runtime on a real loop of its own thread, asked from a test.
///
/// `@unchecked Sendable`: `runtime` is set before the thread's first mail and used on the loop only.
final class RuntimeHarness: @unchecked Sendable {
  private let thread: LoopThread
  private let box: Box
  private let lineStore: Lines

  final class Lines: Sendable {
    let all = Lock<[ProcedureOutput]>([])
  }

  private final class Box: @unchecked Sendable {
    var runtime: (any ProcedureRuntime)?
    var processorClock: clockid_t = 0
  }

  init(
    _ make: @escaping @Sendable (EventLoop, @escaping ProcedureOutput.Sink) -> any ProcedureRuntime
  ) throws {
    let box = Box()
    let lines = Lines()
    self.box = box
    lineStore = lines
    thread = try LoopThread(name: "runtime-test") { loop in
      pthread_getcpuclockid(pthread_self(), &box.processorClock)
      box.runtime = make(loop) { line in lines.all.withLock { $0.append(line) } }
    }
  }

  static func python(_ change: @escaping @Sendable (inout RuntimeLimits) -> Void = { _ in }) throws
    -> RuntimeHarness
  {
    try RuntimeHarness { loop, log in
      var limits = RuntimeLimits()
      change(&limits)
      return PythonProgram().runtime(RuntimeContext(loop: loop, limits: limits, log: log))
    }
  }

  /// What the procedures printed.
  var lines: [ProcedureOutput] { lineStore.all.withLock { $0 } }

  var output: [String] { lineStore.all.withLock { $0.map { "\($0.stream.rawValue): \($0.text)" } } }

  /// Processor time that the loop's thread has used, in nanoseconds: a measure of delays that does not depend
  /// on what else the computer does. Ask once the loop has done something.
  func processorTime() -> UInt64 {
    var time = timespec()
    clock_gettime(box.processorClock, &time)
    return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
  }

  /// Does something with the runtime on its loop.
  func onLoop<Result: Sendable>(
    _ body: @escaping @Sendable (any ProcedureRuntime, EventLoop) -> Result
  ) async -> Result {
    await withCheckedContinuation { continuation in
      thread.mailbox.post { [box] loop in
        guard let runtime = box.runtime else { preconditionFailure("the runtime is made first") }
        continuation.resume(returning: body(runtime, loop))
      }
    }
  }

  func prepare(_ unit: SourceUnit) async throws {
    let result: Result<Void, RPCError> = await withCheckedContinuation { continuation in
      thread.mailbox.post { [box] _ in
        box.runtime?.prepare(unit) { continuation.resume(returning: $0) }
      }
    }
    try result.get()
  }

  /// Calls a procedure and waits for its end.
  func call(
    _ unit: SourceUnit, _ arguments: [Value] = [], milliseconds: Int? = nil
  ) async throws -> [Value] {
    try await start(unit, arguments, milliseconds: milliseconds).result()
  }

  /// Starts a call; the loop has taken it when this returns.
  func start(_ unit: SourceUnit, _ arguments: [Value] = [], milliseconds: Int? = nil) async -> PendingCall {
    let pending = PendingCall()
    await onLoop { runtime, loop in
      let invocation = Invocation(
        unit: unit, arguments: Value.list(arguments).messagePack,
        deadline: milliseconds.map { SystemClock.monotonicNanoseconds() + UInt64($0) * 1_000_000 }
      ) { pending.finish($0) }
      pending.invocation = invocation
      runtime.invoke(invocation)
      if let deadline = invocation.deadline {
        loop.schedule(at: deadline, DeadlineTimer(invocation, of: runtime))
      }
    }
    return pending
  }

  func cancel(_ pending: PendingCall) async {
    await onLoop { runtime, _ in
      if let invocation = pending.invocation {
        runtime.cancel(invocation, reason: RPCError(.cancelled, "the caller is gone"))
      }
    }
  }

  /// Ends the runtime and its thread.
  func close() async {
    await onLoop { [box] runtime, loop in
      runtime.shutdown()
      box.runtime = nil
      loop.stop()
    }
    thread.join()
  }
}

/// Ends a call that is out of time, as a server does.
private final class DeadlineTimer: TimerTarget {
  private let invocation: Invocation
  private let runtime: any ProcedureRuntime

  init(_ invocation: Invocation, of runtime: any ProcedureRuntime) {
    self.invocation = invocation
    self.runtime = runtime
  }

  func timerFired(tag: UInt64, on loop: EventLoop) {
    runtime.cancel(invocation, reason: RPCError(.deadlineExceeded, "the deadline passed"))
  }
}

/// A call whose result somebody will wait for.
///
/// `@unchecked Sendable`: `invocation` is touched on the loop only.
final class PendingCall: @unchecked Sendable {
  var invocation: Invocation?
  private let state = Lock<State>(State())

  private struct State {
    var result: Result<[UInt8], RPCError>?
    var waiter: CheckedContinuation<Result<[UInt8], RPCError>, Never>?
  }

  func finish(_ result: Result<[UInt8], RPCError>) {
    let waiter = state.withLock { state in
      state.result = result
      return state.waiter.take()
    }
    waiter?.resume(returning: result)
  }

  var isFinished: Bool { state.withLock { $0.result != nil } }

  func result() async throws -> [Value] {
    let result: Result<[UInt8], RPCError> = await withCheckedContinuation { continuation in
      let ready = state.withLock { state in
        if state.result == nil { state.waiter = continuation }
        return state.result
      }
      if let ready { continuation.resume(returning: ready) }
    }
    guard case .list(let values) = try Value(messagePack: try result.get()) else {
      throw RPCError(.protocolError, "the return values are not a list")
    }
    return values
  }
}

extension SourceUnit {
  /// A unit from a signature such as `rpc1(int, str) -> str` (several results in parentheses) and a source.
  /// Each has a digest of its own.
  static func make(
    _ signature: String, _ language: Language, _ source: String, memory: Int? = nil,
    service: String = "service1"
  ) -> SourceUnit {
    let parts = signature.split(separator: " -> ", maxSplits: 1).map(String.init)
    let open = parts[0].firstIndex(of: "(") ?? parts[0].endIndex
    let name = String(parts[0][..<open])
    let parameters = types(String(parts[0][open...]))
    let returns = parts.count < 2 ? [] : parts[1].hasPrefix("(") ? types(parts[1]) : types("(\(parts[1]))")
    let serial = count.wrappingAdd(1, ordering: .relaxed).newValue
    return SourceUnit(
      procedure: Procedure(
        signature: Signature(
          service: service, name: name, parameters: parameters.map { Parameter($0) }, returns: returns),
        language: language, digest: "digest-\(serial)",
        sourceName: name + (language == .lua ? ".lua" : ".py"), memoryBytes: memory),
      source: Array(source.utf8))
  }

  private static let count = Atomic<Int>(0)

  private static func types(_ list: String) -> [ValueType] {
    var depth = 0
    var parts = [""]
    for character in list.dropFirst().dropLast() {
      if character == "[" { depth += 1 } else if character == "]" { depth -= 1 }
      if character == ",", depth == 0 { parts.append("") } else { parts[parts.count - 1].append(character) }
    }
    return parts.compactMap { try? ValueType(parsing: $0) }
  }
}

/// The error that `body` ends with, or nil.
func failure(_ body: () async throws -> [Value]) async throws -> RPCError? {
  do {
    _ = try await body()
    return nil
  } catch let error as RPCError {
    return error
  }
}

/// Runs `body` with a Lua runtime and ends it whatever happens.
func withLua(
  _ change: @escaping @Sendable (inout RuntimeLimits) -> Void = { _ in },
  _ body: (RuntimeHarness) async throws -> Void
) async throws {
  let lua = try RuntimeHarness { loop, log in
    var limits = RuntimeLimits()
    change(&limits)
    return LuaRuntime(RuntimeContext(loop: loop, limits: limits, log: log))
  }
  do {
    try await body(lua)
  } catch {
    await lua.close()
    throw error
  }
  await lua.close()
}

/// Answers with what it was asked, in a later turn.
final class EchoCaller: NestedCaller {
  func call(
    _ procedure: String, _ arguments: [Value], on server: String?, from service: String, deadline: UInt64?,
    depth: Int, metadata: [String: Value], completion: @escaping (Result<[Value], RPCError>) -> Void
  ) -> () -> Void {
    if procedure == "service2.fail" {
      completion(.failure(RPCError(.executionException, "it failed", executed: .yes)))
    } else {
      completion(.success([.list([.string(server ?? "any"), .string(procedure)] + arguments)]))
    }
    return {}
  }
}
