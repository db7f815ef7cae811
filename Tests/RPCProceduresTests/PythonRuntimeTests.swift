import Glibc
import RPCProcedures
import RPCWire
import Testing

@Suite("Python procedures")
struct PythonRuntimeTests {
  @Test("a procedure is prepared and called")
  func callsAProcedure() async throws {
    try await withPython { python in
      let unit = SourceUnit.make("rpc1(int, str) -> str", .python, "def rpc1(a, b): return str(a) + b")
      try await python.prepare(unit)
      #expect(try await python.call(unit, [32, "hello"]) == ["32hello"])
      #expect(try await python.call(unit, [-1, "é"]) == ["-1é"])
    }
  }

  private static let valueCases: [(String, Value)] = [
    ("int", Value.int(.max)), ("int", .int(.min)), ("int", 0), ("int", -33), ("int", 65536),
    ("float", .float(.infinity)), ("float", .float(-0.0)), ("float", .float(.leastNonzeroMagnitude)),
    ("bool", true),
    ("str", ""), ("str", "a\u{0}b"), ("str", "\u{10FFFF}é"), ("bytes", .bytes([0, 255, 128])),
    ("None", .null), ("List[int]", []), ("List[List[int]]", [[1], []]), ("Dict[str, int]", ["a": 1]),
    ("Dict[str, int]", .map([])), ("Optional[int]", .null), ("Optional[int]", 3),
    ("Any", ["a": [1, 2.5, nil, true, "x"]]), ("List[Optional[str]]", ["a", nil]),
  ]

  @Test("values survive both ways exactly", arguments: valueCases)
  func valuesSurvive(_ type: String, _ value: Value) async throws {
    try await withPython { python in
      let unit = SourceUnit.make("echo(\(type)) -> \(type)", .python, "def echo(a): return a")
      let result = try await python.call(unit, [value])
      #expect(result == [value])
      if case .float(let sent) = value, case .float(let back)? = result.first {
        #expect(sent.bitPattern == back.bitPattern)
      }
    }
  }

  @Test("a not-a-number keeps its bits, an int becomes the float that is declared")
  func floats() async throws {
    try await withPython { python in
      let unit = SourceUnit.make("f(float) -> (float, bool)", .python, "def f(a): return a, type(a) is float")
      let nan = Double(nan: 5, signaling: false)
      guard case .float(let back)? = try await python.call(unit, [.float(nan)]).first else {
        Issue.record("no float came back")
        return
      }
      #expect(back.bitPattern == nan.bitPattern)
      #expect(try await python.call(unit, [3]) == [3.0, true])
    }
  }

  @Test("long lists and strings survive")
  func longValues() async throws {
    try await withPython { python in
      let unit = SourceUnit.make(
        "f(List[int], List[float], str) -> (List[int], List[float], str)", .python,
        "def f(a, b, c): return a, b, c")
      let ints = Value.list((0..<1000).map { .int(Int64($0 % 128)) })
      let floats = Value.list((0..<1000).map { .float(Double($0) / 3) })
      let text = Value.string(String(repeating: "é", count: 500_000))
      let back = try await python.call(unit, [ints, floats, text])
      #expect(back == [ints, floats, text])
    }
  }

  private static let wrongReturnCases: [(String, String, String)] = [
    ("int", "'a'", "rpc1 returned [str], but declares [int]"),
    ("int", "True", "rpc1 returned [bool], but declares [int]"),
    ("int", "1.0", "rpc1 returned [float], but declares [int]"),
    ("str", "None", "rpc1 returned [None], but declares [str]"),
    ("List[int]", "[1, 'a']", "rpc1 returned [List[Any]], but declares [List[int]]"),
    ("(int, str)", "(1, 2)", "rpc1 returned [int, int], but declares [int, str]"),
    ("(int, str)", "1", "rpc1 returned [int], but declares [int, str]"),
    ("Dict[str, int]", "{1: 2}", "rpc1 returned a dict with the key 1; a Dict's keys are str"),
    ("Any", "{1}", "rpc1 returned a value of Python's type set, which does not travel"),
    (
      "int", "2**63",
      "rpc1 returned 9223372036854775808, which does not fit an int: 64 bits, from -9223372036854775808 to "
        + "9223372036854775807"
    ),
    (
      "str", "'a\\ud800'",
      "rpc1 returned a str with a lone surrogate (U+D800 at position 1), which UTF-8 has no bytes for"
    ),
  ]

  @Test(
    "a wrong return value is an exception that says what was returned and what declared",
    arguments: wrongReturnCases)
  func wrongReturns(_ declared: String, _ returned: String, _ message: String) async throws {
    try await withPython { python in
      let unit = SourceUnit.make("rpc1() -> \(declared)", .python, "def rpc1(): return \(returned)")
      let error = try await failure { try await python.call(unit) }
      #expect(error?.exception == .executionException)
      #expect(error?.message == message)
      #expect(error?.executed == .yes)
    }
  }

  @Test("an exception carries its message and its own source line")
  func exceptions() async throws {
    try await withPython { python in
      let unit = SourceUnit.make(
        "rpc1(int) -> int", .python, "import json\n\ndef rpc1(a):\n  if a: json.loads('{')\n  return 1 // a\n"
      )
      let division = try await failure { try await python.call(unit, [0]) }
      #expect(division?.message == "ZeroDivisionError: integer division or modulo by zero")
      #expect(division?.source == "rpc1.py:5")
      let json = try await failure { try await python.call(unit, [1]) }
      #expect(json?.source == "rpc1.py:4")
    }
  }

  private static let unloadableCases: [(String, String)] = [
    ("def rpc1(a:\n", "rpc1.py:1"), ("def other(a): pass", "rpc1.py"),
    ("x = 1\nraise ValueError(3)", "rpc1.py:2"),
    ("def rpc1(): pass", "rpc1.py:1"), ("rpc1 = 3", "rpc1.py"), ("import sys; sys.exit(1)", "rpc1.py:1"),
  ]

  @Test("a source that cannot be loaded is not prepared", arguments: unloadableCases)
  func unloadable(_ source: String, _ place: String) async throws {
    try await withPython { python in
      let unit = SourceUnit.make("rpc1(int) -> int", .python, source)
      let error = try await failure {
        try await python.prepare(unit)
        return []
      }
      #expect(error?.exception == .failedPrecondition)
      #expect(error?.source == place)
    }
  }

  @Test("a crash, an exit and an endless loop fail their own call only")
  func crashes() async throws {
    try await withPython { python in
      let good = SourceUnit.make("good(int) -> int", .python, "def good(a): return a + 1")
      let bad = SourceUnit.make(
        "bad(int)", .python,
        """
        import ctypes, os
        def bad(kind):
          if kind == 0: os._exit(7)
          if kind == 1: ctypes.string_at(0)
          while True: pass
        """)
      try await python.prepare(good)
      let spinning = await python.start(bad, [2], milliseconds: 300)
      let exit = try await failure { try await python.call(bad, [0]) }
      #expect(exit?.message == "the procedure ended its worker process with exit status 7")
      #expect(exit?.executed == .maybe)
      let crash = try await failure { try await python.call(bad, [1]) }
      #expect(crash?.message == "the procedure's worker process was ended by signal 11 (SIGSEGV)")
      #expect(try await python.call(good, [1]) == [2])
      let late = try await failure { try await spinning.result() }
      #expect(late?.exception == .deadlineExceeded)
      #expect(late?.executed == .maybe)
      #expect(try await python.call(good, [2]) == [3])
    }
  }

  @Test("a cancelled call ends at once, and the next gets a worker")
  func cancelling() async throws {
    try await withPython({ $0.python.workers = 1 }) { python in
      let unit = SourceUnit.make("wait(bool) -> int", .python, "def wait(a):\n  while a: pass\n  return 1")
      try await python.prepare(unit)
      let running = await python.start(unit, [true])
      let waiting = await python.start(unit, [true])
      await python.cancel(waiting)
      await python.cancel(running)
      let first = try await failure { try await running.result() }
      let second = try await failure { try await waiting.result() }
      #expect(first?.exception == .cancelled)
      #expect(first?.executed == .maybe)
      #expect(second?.executed == .no)
      #expect(try await python.call(unit, [false]) == [1])
    }
  }

  @Test("the queue is bounded and says so with numbers")
  func queueBound() async throws {
    try await withPython({
      $0.python.workers = 1
      $0.python.queue = 2
    }) { python in
      let unit = SourceUnit.make("wait(bool) -> int", .python, "def wait(a):\n  while a: pass\n  return 1")
      try await python.prepare(unit)
      let running = await python.start(unit, [true])
      let second = await python.start(unit, [false])
      let third = await python.start(unit, [false])
      let refused = try await failure { try await python.call(unit, [false]) }
      #expect(refused?.exception == .resourceExhausted)
      #expect(refused?.limit == 2)
      #expect(refused?.actual == 3)
      #expect(refused?.executed == .no)
      await python.cancel(running)
      #expect(try await second.result() == [1])
      #expect(try await third.result() == [1])
    }
  }

  @Test("output and memory are bounded, and the neighbours do not notice")
  func bounds() async throws {
    try await withPython { python in
      let unit = SourceUnit.make(
        "hog(int) -> str", .python,
        """
        def hog(kind):
          if kind == 0: return 'x' * (1 << 30)
          if kind == 1: return 'x' * (17 << 20)
          if kind == 2:
            while True: print('x' * 1000)
          return 'ok'
        """)
      let memory = try await failure { try await python.call(unit, [0]) }
      #expect(memory?.message.hasPrefix("MemoryError") == true)
      let output = try await failure { try await python.call(unit, [1]) }
      #expect(output?.exception == .resourceExhausted)
      #expect(output?.limit == WireLimits.frameBytes)
      let print = try await failure { try await python.call(unit, [2]) }
      #expect(print?.message == "RuntimeError: printed more than 8388608 bytes in one call")
      #expect(try await python.call(unit, [3]) == ["ok"])
      #expect(python.output.count < 200)
    }
  }

  @Test("a procedure calls another one, and its errors can be caught")
  func nestedCalls() async throws {
    let python = try RuntimeHarness { loop, log in
      PythonProgram().runtime(RuntimeContext(loop: loop, nested: EchoCaller(), log: log))
    }
    let unit = SourceUnit.make(
      "ask(str) -> (Any, str, str)", .python,
      """
      import rpc
      def ask(what):
        try:
          rpc.call(None, 'service2.fail')
        except rpc.Error as error:
          caught = error
        rpc.log('caught', caught.message)
        return rpc.call('s2', 'service2.echo', what, [1, 2], None), str(caught), caught.executed
      """)
    let result = try await python.call(unit, ["x"])
    #expect(
      result == [["s2", "service2.echo", "x", [1, 2], nil], "ExecutionException: it failed", "yes"])
    #expect(python.output == ["log: caught it failed"])
    await python.close()
  }

  @Test("a source is loaded although every worker is busy")
  func loadsWhileBusy() async throws {
    try await withPython({ $0.python.workers = 1 }) { python in
      let spin = SourceUnit.make("spin()", .python, "def spin():\n  while True: pass")
      let good = SourceUnit.make("good() -> int", .python, "def good(): return 1")
      let pending = await python.start(spin)
      try await python.prepare(good)
      #expect(!pending.isFinished)
      await python.cancel(pending)
      let result = try await python.call(good)
      #expect(result == [1])
    }
  }

  @Test("a fork in a procedure neither answers twice nor goes on without end")
  func forks() async throws {
    try await withPython { python in
      let unit = SourceUnit.make(
        "multiply(bool) -> int", .python,
        "import os\ndef multiply(all):\n  while all: os.fork()\n  return 1 if os.fork() else 2")
      let result = try await python.call(unit, [false])
      #expect(result == [1])
      let error = try await failure { try await python.call(unit, [true]) }
      #expect(error?.message == "BlockingIOError: [Errno 11] the call started more than 16 processes")
      let again = try await python.call(unit, [false])
      #expect(again == [1])
    }
  }

  @Test("async procedures run")
  func asynchronous() async throws {
    try await withPython { python in
      let unit = SourceUnit.make(
        "nap(int) -> int", .python,
        "import asyncio\nasync def nap(a):\n  await asyncio.sleep(0)\n  return a * 2")
      let result = try await python.call(unit, [21])
      #expect(result == [42])
    }
  }

  @Test("a worker is replaced after its calls are used up")
  func recycling() async throws {
    try await withPython({
      $0.python.workers = 1
      $0.python.callsPerWorker = 3
    }) { python in
      let unit = SourceUnit.make("pid() -> int", .python, "import os\ndef pid(): return os.getpid()")
      var pids: Set<Value> = []
      for _ in 0..<12 { pids.formUnion(try await python.call(unit)) }
      #expect(pids.count >= 4)
    }
  }

  @Test("a missing interpreter is a clear error")
  func missingInterpreter() async throws {
    let python = try RuntimeHarness { loop, log in
      PythonProgram(interpreter: "no-such-python3").runtime(RuntimeContext(loop: loop, log: log))
    }
    let unit = SourceUnit.make("rpc1()", .python, "def rpc1(): pass")
    let error = try await failure {
      try await python.prepare(unit)
      return []
    }
    #expect(
      error?.message
        == "'no-such-python3' was not found in PATH: Python procedures need Python 3 on the server")
    await python.close()
  }

  @Test(
    "no process outlives the runtime, not even those that procedures left behind", arguments: [true, false])
  func noProcessStays(usesNamespaces: Bool) async throws {
    let word = "11\(UInt32.random(in: 1_000_000...9_999_999))"
    try await withPython(usesNamespaces: usesNamespaces) { python in
      let unit = SourceUnit.make(
        "leave()", .python,
        """
        import subprocess, time
        def leave():
          child = subprocess.Popen(['sleep', '\(word)'])
          stray = subprocess.Popen(['sleep', '\(word)'], start_new_session=True)
          while True: time.sleep(1)
        """)
      _ = await python.start(unit)
      try await eventually("both processes") { processes(with: word).count >= 2 }
    }
    #expect(processes(with: word).isEmpty)
  }

  private static let addressCases = [
    ("object()", "ValueError: <object object>"),
    ("[object(), print]", "ValueError: [<object object>, <built-in function print>]"),
    ("(lambda a: a)", "ValueError: <function rpc1.<locals>.<lambda>>"),
    ("'register 0xDEADBEEF at 0x1234'", "ValueError: register 0xDEADBEEF at 0x1234"),
  ]

  @Test("errors do not show where objects are in memory", arguments: addressCases)
  func addresses(value: String, message: String) async throws {
    try await withPython { python in
      let unit = SourceUnit.make("rpc1()", .python, "def rpc1(): raise ValueError(\(value))")
      let error = try await failure { try await python.call(unit) }
      #expect(error?.message == message)
    }
  }
}
