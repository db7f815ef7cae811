import Glibc
import RPCProcedures
import RPCWire
import Testing

@Suite("What a Python call leaves behind")
struct PythonLeftoverTests {
  @Test("a line that a thread prints after the answer is its own procedure's, and nobody is blamed for it")
  func lateLines() async throws {
    try await withPython({ $0.python.workers = 1 }) { python in
      let late = SourceUnit.make(
        "late() -> int", .python,
        """
        import sys, threading, time
        def late():
          def chatter():
            for number in range(200):
              print('late', number)
              time.sleep(0.001)
          threading.Thread(target=chatter).start()
          return 1
        """)
      let good = SourceUnit.make(
        "good(int) -> int", .python, "import time\ndef good(a):\n  time.sleep(0.0005)\n  return a + 1")
      _ = try await python.call(late)
      for number in 0..<300 {
        #expect(try await python.call(good, [.int(Int64(number))]) == [.int(Int64(number) + 1)])
      }
      try await eventually("late lines") { python.output.contains("stdout: late 100") }
      #expect(
        python.lines.filter { $0.text.hasPrefix("late") }.allSatisfy { $0.procedure.signature.name == "late" }
      )
    }
  }

  @Test("a thread cannot call other procedures in the name of another call")
  func lateThreadCalls() async throws {
    try await withPython({ $0.python.workers = 1 }) { python in
      let unit = SourceUnit.make(
        "leave() -> str", .python,
        """
        import rpc, threading
        said = []
        def leave():
          def ask():
            try:
              rpc.call(None, 'service1.leave')
            except RuntimeError as error:
              said.append(str(error))
          thread = threading.Thread(target=ask)
          thread.start()
          thread.join()
          return said[0]
        """)
      try await python.prepare(unit)
      #expect(try await python.call(unit) == ["rpc.call works in the thread that runs the procedure"])
    }
  }

  private static let changes = [
    "signal.setitimer(signal.ITIMER_REAL, 0.05)", "signal.alarm(1)", "os.chdir('/usr')", "os.umask(0)",
    "sys.setrecursionlimit(60)", "socket.setdefaulttimeout(0.001)", "os.environ['LEFT'] = 'x'",
    "os.environ.pop('PATH')", "os.environ['PATH'] = '/nowhere'", "os.putenv('LEFT', 'x')",
    "signal.signal(signal.SIGTERM, print)", "signal.signal(signal.SIGCHLD, signal.SIG_IGN)",
    "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])", "sys.path.insert(0, '/nowhere')",
    "sys.setswitchinterval(1)", "gc.disable()", "locale.setlocale(locale.LC_ALL, 'C')",
    "sys.settrace(lambda *_: None)", "os.nice(1)", "resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))",
    "faulthandler.dump_traceback_later(0.05, exit=True)", "faulthandler.disable()",
    "ctypes.CDLL(None).alarm(1)", "ctypes.CDLL(None).umask(0)", "ctypes.CDLL(None).chdir(b'/usr')",
    "sys.stdout.close()",
  ]

  @Test("the state that a call changes is put back, or its worker replaced", arguments: changes)
  func state(change: String) async throws {
    try await withPython({ $0.python.workers = 1 }) { python in
      let probe = SourceUnit.make(
        "probe() -> Any", .python,
        """
        import os, sys, signal, socket, resource, gc, locale, faulthandler, time
        def probe():
          mask = os.umask(0)
          os.umask(mask)
          return [
            [str(signal.getitimer(which)) for which in (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF)],
            os.getcwd(), mask, sys.getrecursionlimit(), socket.getdefaulttimeout(), sorted((k, v) for k, v in os.environ.items() if k != 'TMPDIR'),
            [str(signal.getsignal(number)) for number in sorted(signal.valid_signals()) if number not in (9, 19)],
            sorted(map(int, signal.pthread_sigmask(signal.SIG_BLOCK, []))), sys.path, sys.getswitchinterval(), gc.isenabled(),
            locale.setlocale(locale.LC_ALL), str(sys.gettrace()), os.nice(0), list(resource.getrlimit(resource.RLIMIT_NOFILE)),
            faulthandler.is_enabled(), os.popen('echo $LEFT').read(), sys.stdout.closed,
          ]
        """)
      let unit = SourceUnit.make(
        "change()", .python,
        "import os, sys, signal, socket, resource, gc, locale, faulthandler, ctypes\ndef change():\n  \(change)"
      )
      let before = try await python.call(probe)
      _ = try await python.call(unit)
      let after = try await python.call(probe)
      #expect(after == before)
      // An alarm would have gone off by now.
      let nap = SourceUnit.make(
        "nap() -> int", .python,
        "import time\ndef nap():\n  time.sleep(1.2 if \(change.contains("alarm(1)") ? "True" : "False") else 0.1)\n  return 1"
      )
      #expect(try await python.call(nap) == [1])
    }
  }

  @Test("what the top level of a source sets holds for its own procedures, and for no others")
  func stateOfSources() async throws {
    try await withPython({ $0.python.workers = 1 }) { python in
      let deep = SourceUnit.make(
        "deep() -> (int, str)", .python,
        "import os, sys\nsys.setrecursionlimit(5000)\nos.environ['MINE'] = 'x'\ndef deep(): return sys.getrecursionlimit(), os.environ['MINE']"
      )
      let other = SourceUnit.make(
        "other() -> (int, Optional[str])", .python,
        "import os, sys\ndef other(): return sys.getrecursionlimit(), os.environ.get('MINE')")
      try await python.prepare(deep)
      for _ in 0..<2 {
        #expect(try await python.call(deep) == [5000, "x"])
        #expect(try await python.call(other) == [1000, nil])
      }
    }
  }

  private static let escapes = [
    // A session of its own; twice removed; in the background of a shell; from a thread; by C alone.
    "subprocess.Popen(sleep, start_new_session=True)",
    "os.system('setsid sh -c \"(sleep ' + word + ' &) &\" ')",
    "subprocess.Popen(['sh', '-c', 'nohup setsid sleep ' + word + ' & exit'])",
    "threading.Thread(target=subprocess.Popen, args=(sleep,)).run()",
    "0 if ctypes.CDLL(None).fork() else os.execvp('sleep', sleep)",
  ]

  @Test("no process outlives its call, wherever it went", arguments: escapes, [true, false])
  func processes(escape: String, usesNamespaces: Bool) async throws {
    try await withPython(usesNamespaces: usesNamespaces, { $0.python.workers = 1 }) { python in
      let word = "10\(UInt32.random(in: 1_000_000...9_999_999))"
      let source = """
        import ctypes, os, subprocess, threading, time
        word = '\(word)'
        sleep = ['sleep', word]
        def leave(spin):
          \(escape)
          while spin: time.sleep(1)
          return 1
        """
      let unit = SourceUnit.make("leave(bool) -> int", .python, source)
      // After an answer, and after a deadline.
      #expect(try await python.call(unit, [false]) == [1])
      try await eventually("the end of \(escape)") { RPCProceduresTests.processes(with: word).isEmpty }
      let running = await python.start(unit, [true], milliseconds: 1000)
      try await eventually("the start of \(escape)") {
        running.isFinished || !RPCProceduresTests.processes(with: "sleep\0" + word).isEmpty
      }
      let error = try await failure { try await running.result() }
      #expect(error?.exception == .deadlineExceeded)
      try await eventually("the end of \(escape) after its deadline") {
        RPCProceduresTests.processes(with: word).isEmpty
      }
      #expect(try await python.call(unit, [false]) == [1])
    }
  }

  @Test("a child that a call has waited for leaves its worker as it was")
  func waitedFor() async throws {
    try await withPython({ $0.python.workers = 1 }) { python in
      let unit = SourceUnit.make(
        "run() -> int", .python,
        "import os, subprocess\ndef run():\n  subprocess.run(['true'])\n  return os.getpid()")
      let first = try await python.call(unit)
      for _ in 0..<5 { #expect(try await python.call(unit) == first) }
    }
  }

  @Test("a thread that goes on after its call does not take the processor for ever")
  func threads() async throws {
    try await withPython({ $0.python.workers = 1 }) { python in
      let unit = SourceUnit.make(
        "leave() -> int", .python,
        """
        import os, threading
        def spin():
          while True: pass
        def leave():
          threading.Thread(target=spin, daemon=True).start()
          return os.getpid()
        """)
      let pid = SourceUnit.make("pid() -> int", .python, "import os\ndef pid(): return os.getpid()")
      let first = try await python.call(unit)
      // Nobody calls meanwhile: looking after idle workers finds it.
      try await eventually("a new worker") {
        try await Task.sleep(for: .milliseconds(2500))
        return try await python.call(pid) != first
      }
      // Somebody calls all the time: the end of a call finds it.
      let second = try await python.call(unit)
      try await eventually("another new worker") { try await python.call(pid) != second }
    }
  }
}
