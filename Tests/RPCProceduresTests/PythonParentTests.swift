import Glibc
import RPCProcedures
import RPCWire
import Testing

@Suite("The processes that run Python", .serialized)
struct PythonParentTests {
  private static let good = SourceUnit.make("good(int) -> int", .python, "def good(a): return a + 1")
  private static let signals = SourceUnit.make(
    "send(int, int)", .python,
    """
    import os, time
    def send(pid, number):
      os.kill(os.getppid() if pid == 0 else os.getpid(), number)
      time.sleep(0.1)
    """)

  @Test(
    "a procedure that stops or kills its worker's parent harms its own call at most",
    arguments: [SIGSTOP, SIGKILL], [true, false])
  func parent(signal: Int32, usesNamespaces: Bool) async throws {
    try await withPython(
      usesNamespaces: usesNamespaces,
      {
        $0.python.workers = 1
        // Enough for a parent that is well, on a computer that is busy.
        $0.python.parentMilliseconds = 3000
        $0.python.callsPerWorker = 2
      }
    ) { python in
      try await python.prepare(Self.good)
      _ = try await failure {
        try await python.call(Self.signals, [0, .int(Int64(signal))], milliseconds: 5000)
      }
      // Some calls may fail until it is noticed; then all are answered, and workers can be forked again.
      try await eventually("twenty answers in a row") {
        for number in 0..<20 {
          let argument = Value.int(Int64(number))
          let error = try await failure {
            let answer = try await python.call(Self.good, [argument], milliseconds: 10_000)
            #expect(answer == [.int(Int64(number) + 1)])
            return answer
          }
          if error != nil { return false }
        }
        return true
      }
    }
  }

  private static let waits = SourceUnit.make("wait()", .python, "import time\ndef wait(): time.sleep(60)")
  private static let parentID = SourceUnit.make(
    "parent() -> int", .python, "import os\ndef parent(): return os.getppid()")

  @Test("callers that cancel at once while the parent is behind cost nobody else a call")
  func cancels() async throws {
    try await withPython(
      usesNamespaces: false,
      {
        $0.python.workers = 1
        $0.python.spareWorkers = 0
        $0.python.parentMilliseconds = 60_000
      }
    ) { python in
      let parent = try await python.call(Self.parentID, milliseconds: 20_000)
      let id = pid_t(try #require(parent.first?.intValue))
      kill(id, SIGSTOP)
      defer { kill(id, SIGCONT) }
      for _ in 0..<1000 {
        let call = await python.start(Self.waits)
        await python.cancel(call)
        #expect(try await failure { try await call.result() }?.exception == .cancelled)
      }
      let neighbour = await python.start(Self.good, [2])
      kill(id, SIGCONT)
      #expect(try await neighbour.result() == [3])
    }
  }

  private static let ends = [
    // The workers' parent is killed, or stopped; the process that guards it is; both are stopped.
    "os.kill(os.getppid(), signal.SIGKILL)", "os.kill(os.getppid(), signal.SIGSTOP)",
    "os.kill(grandparent(), signal.SIGKILL)",
    "[os.kill(pid, signal.SIGSTOP) for pid in (grandparent(), os.getppid())]",
  ]

  @Test("what a call started in a session of its own ends with the parent of the workers", arguments: ends)
  func sessions(end: String) async throws {
    try await withPython(
      usesNamespaces: false, isolation: .none,
      {
        $0.python.workers = 2
        $0.python.parentMilliseconds = 3000
      }
    ) { python in
      let word = "20\(UInt32.random(in: 1_000_000...9_999_999))"
      let unit = SourceUnit.make(
        "leave()", .python,
        """
        import os, signal, subprocess, time
        def grandparent():
          with open('/proc/%d/stat' % os.getppid()) as file:
            return int(file.read().rpartition(')')[2].split()[1])
        def leave():
          subprocess.Popen(['sleep', '\(word)'], start_new_session=True)
          os.system('setsid sh -c "(sleep \(word) &) &"')
          while len([p for p in os.listdir('/proc') if p.isdigit() and is_ours(p)]) < 2: time.sleep(0.01)
          \(end)
          time.sleep(60)
        def is_ours(pid):
          try:
            with open('/proc/%s/cmdline' % pid) as file: return file.read().split('\\0')[:2] == ['sleep', '\(word)']
          except OSError: return False
        """)
      let error = try await failure { try await python.call(unit, milliseconds: 30_000) }
      #expect(error?.exception == .unavailable)
      try await eventually("the end of the sessions") { processes(with: "sleep\0\(word)").isEmpty }
      try await eventually("an answer") {
        try await failure { try await python.call(Self.good, [1], milliseconds: 2000) } == nil
      }
    }
  }

  @Test("a worker that is stopped is replaced, whether it had a call or not")
  func worker() async throws {
    try await withPython({ $0.python.workers = 1 }) { python in
      let error = try await failure { try await python.call(Self.signals, [1, .int(Int64(SIGSTOP))]) }
      #expect(error?.message == "the procedure's worker process was ended by signal 19 (SIGSTOP)")
      #expect(error?.executed == .maybe)
      #expect(try await python.call(Self.good, [1], milliseconds: 60_000) == [2])
    }
  }

  @Test("helpers that somebody stops from outside are replaced")
  func fromOutside() async throws {
    let word = "rpc-python"
    var helpers: [pid_t] = []
    try await withPython({
      $0.python.workers = 1
      $0.python.parentMilliseconds = 3000
    }) { python in
      try await python.prepare(Self.good)
      helpers = descendants().filter {
        String(decoding: contents(of: "/proc/\($0)/comm"), as: UTF8.self).hasPrefix(word)
      }
      #expect(!helpers.isEmpty)
      for helper in helpers { kill(helper, SIGSTOP) }
      try await eventually("an answer") {
        try await failure { try await python.call(Self.good, [1], milliseconds: 2000) } == nil
      }
    }
    for helper in helpers { try await eventually("the end of process \(helper)") { kill(helper, 0) != 0 } }
  }

  @Test("in namespaces a worker sees no processes but its own kind's")
  func privateProcesses() async throws {
    try await withPython { python in
      let unit = SourceUnit.make(
        "look(int) -> (bool, int)", .python,
        """
        import os
        def look(pid):
          return os.path.exists('/proc/%d/exe' % pid), os.getppid()
        """)
      let result = try await python.call(unit, [.int(Int64(getpid()))])
      // Where the kernel refuses them the workers are children of a process with an ordinary id.
      if result.last == 1 { #expect(result.first == false) }
    }
  }
}
