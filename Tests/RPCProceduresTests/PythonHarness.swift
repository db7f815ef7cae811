import Glibc
import RPCProcedures
import RPCSystem
import RPCTransport
import RPCWire
import Synchronization

/// Runs `body` with a Python runtime and ends it whatever happens.
///
/// - Parameters:
///   - usesNamespaces: false shows what holds where the kernel refuses process ids of their own.
///   - program: the interpreter.
///   - group: the folder of a control group, or of what stands in for one.
///   - isolation: `none` lets procedures do to the runtime's processes what confined ones cannot.
func withPython(
  usesNamespaces: Bool = true, program: String = "python3", isolation: Isolation = .standard,
  group: String? = nil, _ change: @escaping @Sendable (inout RuntimeLimits) -> Void = { _ in },
  _ body: (RuntimeHarness) async throws -> Void
) async throws {
  let python = try RuntimeHarness { loop, log in
    var limits = RuntimeLimits()
    change(&limits)
    let caller = LoopbackCaller(loop: loop)
    var policy = IsolationPolicy()
    policy.isolation = isolation
    let runtime = PythonProgram(interpreter: program, usesNamespaces: usesNamespaces, group: group).runtime(
      RuntimeContext(loop: loop, limits: limits, nested: caller, isolation: policy, log: log))
    caller.runtime = runtime
    return runtime
  }
  do {
    try await body(python)
  } catch {
    await python.close()
    throw error
  }
  await python.close()
}

/// Calls of procedures go to the runtime that they came from, as with a server that has one loop. A procedure is known
/// once it was registered by its name.
final class LoopbackCaller: NestedCaller {
  weak var runtime: WorkerPool?
  private let loop: EventLoop
  private static let units = Lock<[String: SourceUnit]>([:])

  init(loop: EventLoop) {
    self.loop = loop
  }

  static func register(_ unit: SourceUnit) {
    units.withLock { $0[unit.procedure.signature.name] = unit }
  }

  func call(
    _ procedure: String, _ arguments: [Value], on server: String?, from service: String, deadline: UInt64?,
    depth: Int, metadata: [String: Value], completion: @escaping (Result<[Value], RPCError>) -> Void
  ) -> () -> Void {
    let name = procedure.split(separator: ".").last.map(String.init) ?? procedure
    guard let unit = Self.units.withLock({ $0[name] }), let runtime else {
      completion(.failure(RPCError(.rpcNotFound, "no \(name)")))
      return {}
    }
    do throws(RPCError) {
      try CallFrame.checkDepth(depth, of: procedure)
    } catch {
      loop.atEndOfTurn { completion(.failure(error)) }
      return {}
    }
    let invocation = Invocation(
      unit: unit, arguments: Value.list(arguments).messagePack, deadline: deadline, depth: depth
    ) { result in
      completion(result.map { (try? Value(messagePack: $0).listValue) ?? [] })
    }
    loop.atEndOfTurn { runtime.invoke(invocation) }
    return { runtime.cancel(invocation, reason: RPCError(.cancelled, "the caller is gone")) }
  }
}

/// The processes of this computer whose command line has `word`.
func processes(with word: String) -> [pid_t] {
  guard let directory = opendir("/proc") else { return [] }
  defer { closedir(directory) }
  var found: [pid_t] = []
  while let entry = readdir(directory) {
    let name = withUnsafePointer(to: entry.pointee.d_name) {
      $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
    }
    if let pid = pid_t(name),
      String(decoding: contents(of: "/proc/\(pid)/cmdline"), as: UTF8.self).contains(word)
    {
      found.append(pid)
    }
  }
  return found
}

/// This process's children, theirs, and so on.
func descendants(of pid: pid_t = getpid()) -> [pid_t] {
  guard let directory = opendir("/proc/\(pid)/task") else { return [] }
  defer { closedir(directory) }
  var found: [pid_t] = []
  while let entry = readdir(directory) {
    let task = withUnsafePointer(to: entry.pointee.d_name) {
      $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
    }
    for child in String(decoding: contents(of: "/proc/\(pid)/task/\(task)/children"), as: UTF8.self).split(
      separator: " ")
    {
      if let child = pid_t(child) { found += [child] + descendants(of: child) }
    }
  }
  return found
}

func contents(of path: String) -> [UInt8] {
  let descriptor = open(path, O_RDONLY)
  guard descriptor >= 0 else { return [] }
  defer { close(descriptor) }
  var bytes = [UInt8](repeating: 0, count: 65536)
  let count = read(descriptor, &bytes, bytes.count)
  return Array(bytes[..<max(0, count)])
}

/// Waits until `condition` holds, and fails after a time that only a hang takes.
func eventually(_ what: String, _ condition: () async throws -> Bool) async throws {
  let limit = ContinuousClock.now + .seconds(60)
  while try await !condition() {
    guard ContinuousClock.now < limit else { throw RPCError(.deadlineExceeded, "never: \(what)") }
    try await Task.sleep(for: .milliseconds(20))
  }
}
