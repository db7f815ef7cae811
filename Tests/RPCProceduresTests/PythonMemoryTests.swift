import RPCProcedures
import RPCWire
import Testing

@Suite("The memory of a Python call")
struct PythonMemoryTests {
  private static let mebibyte = 1024 * 1024

  @Test("eight threads start within the default, and within 64 MiB")
  func threads() async throws {
    try await withPython { python in
      let source = """
        import threading
        def threads(count):
          barrier = threading.Barrier(count + 1)
          for _ in range(count): threading.Thread(target=barrier.wait).start()
          barrier.wait()
          return count
        """
      let unit = SourceUnit.make("threads(int) -> int", .python, source)
      let small = SourceUnit.make("threads(int) -> int", .python, source, memory: 64 * Self.mebibyte)
      try await python.prepare(unit)
      #expect(try await python.call(unit, [8]) == [8])
      #expect(try await python.call(unit, [30]) == [30])
      #expect(try await python.call(small, [8]) == [8])
    }
  }

  @Test("a call has its memory whatever others left in the worker")
  func leftByOthers() async throws {
    try await withPython({ $0.python.workers = 1 }) { python in
      let keep = SourceUnit.make(
        "keep()", .python, "kept = []\ndef keep(): kept.append(b'x' * (40 << 20))", memory: 64 * Self.mebibyte
      )
      let use = SourceUnit.make(
        "use() -> int", .python,
        "import time\ndef use():\n  a = b'x' * (50 << 20)\n  time.sleep(0.4)\n  return len(a)",
        memory: 64 * Self.mebibyte)
      for _ in 0..<4 {
        _ = try await python.call(keep)
        #expect(try await python.call(use) == [.int(50 << 20)])
      }
    }
  }

  private static let hogs = [
    // At once, in small pieces, by a child, by several children, in shared memory.
    "[bytearray(1 << 20) for _ in range(90)]",
    "subprocess.run([sys.executable, '-c', 'import time; a = bytearray(90 << 20); time.sleep(100)'])",
    "[child.wait() for child in [subprocess.Popen([sys.executable, '-c', 'import time; a = bytearray(30 << 20); time.sleep(100)']) for _ in range(3)]]",
    "mmap.mmap(-1, 90 << 20).write(b'x' * (90 << 20))",
  ]

  @Test(
    "a call that uses more than it may is ended with both numbers, its processes included", arguments: hogs)
  func hog(expression: String) async throws {
    try await withPython({ $0.python.workers = 1 }) { python in
      let unit = SourceUnit.make(
        "hog()", .python,
        "import mmap, subprocess, sys, time\ndef hog():\n  kept = \(expression)\n  time.sleep(100)",
        memory: 64 * Self.mebibyte)
      let error = try await failure { try await python.call(unit, milliseconds: 60_000) }
      #expect(error?.exception == .resourceExhausted)
      #expect(error?.limit == 64 * Self.mebibyte)
      #expect((error?.actual ?? 0) > 64 * Self.mebibyte)
      #expect(error?.executed == .maybe)
      let good = SourceUnit.make("good() -> int", .python, "def good(): return 1")
      #expect(try await python.call(good, milliseconds: 60_000) == [1])
    }
  }

  @Test("a procedure cannot lift its bounds, and one that keeps too much for the next call costs its worker")
  func forEver() async throws {
    try await withPython({
      $0.python.workers = 1
      $0.python.memoryBytes = 64 * Self.mebibyte
    }) { python in
      let lift = SourceUnit.make(
        "lift() -> str", .python,
        """
        import resource
        def lift():
          soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
          assert hard != resource.RLIM_INFINITY
          try: resource.setrlimit(resource.RLIMIT_DATA, (soft, resource.RLIM_INFINITY))
          except ValueError as error: return str(error)
        """)
      #expect(try await python.call(lift) == ["not allowed to raise maximum limit"])
      // What is kept on and on does not end in errors.
      let keep = SourceUnit.make(
        "keep() -> int", .python,
        "kept = []\ndef keep():\n  kept.append(b'x' * (60 << 20))\n  return len(kept)")
      var counts: [Int64] = []
      for _ in 0..<15 {
        if case .int(let count)? = try await python.call(keep).first { counts.append(count) }
      }
      #expect(counts.count == 15)
      #expect(counts.max() ?? 0 < 15, "its worker was replaced: \(counts)")
      // A procedure that declares more has it, whatever its service's workers were started with.
      let large = SourceUnit.make(
        "large() -> int", .python, "def large(): return len(b'x' * (900 << 20))", memory: 1024 * Self.mebibyte
      )
      #expect(try await python.call(large) == [.int(900 << 20)])
    }
  }

  @Test("children that share their parent's memory are not counted twice")
  func shared() async throws {
    try await withPython({ $0.python.workers = 1 }) { python in
      let unit = SourceUnit.make(
        "share() -> int", .python,
        """
        import os, time
        def share():
          a = b'x' * (40 << 20)
          children = []
          for _ in range(3):
            pid = os.fork()
            if pid == 0:
              time.sleep(1)
              os._exit(0)
            children.append(pid)
          for pid in children: os.waitpid(pid, 0)
          return len(a)
        """, memory: 64 * Self.mebibyte)
      try await python.prepare(unit)
      #expect(try await python.call(unit) == [.int(40 << 20)])
    }
  }

  @Test("what is far too much is a MemoryError, which the procedure can catch")
  func memoryError() async throws {
    try await withPython { python in
      let unit = SourceUnit.make(
        "hog() -> str", .python,
        "def hog():\n  try:\n    return 'x' * (1 << 30)\n  except MemoryError:\n    return 'caught'",
        memory: 64 * Self.mebibyte)
      try await python.prepare(unit)
      #expect(try await python.call(unit) == ["caught"])
    }
  }
}
