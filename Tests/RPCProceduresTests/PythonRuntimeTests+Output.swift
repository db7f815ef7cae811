import Glibc
import RPCProcedures
import RPCWire
import Testing

/// What procedures print.
extension PythonRuntimeTests {
  @Test("what a procedure prints becomes lines of the log")
  func printing() async throws {
    try await withPython { python in
      let unit = SourceUnit.make(
        "talk()", .python,
        "import sys\ndef talk():\n  print('a', 'é')\n  print('two\\nlines')\n  sys.stderr.write('part')")
      _ = try await python.call(unit)
      #expect(python.output == ["stdout: a é", "stdout: two", "stdout: lines", "stderr: part"])
    }
  }

  @Test("what bypasses Python's streams is logged too: a crash shows where it happened")
  func rawOutput() async throws {
    try await withPython { python in
      let unit = SourceUnit.make(
        "talk(bool) -> int", .python,
        """
        import ctypes, subprocess
        def talk(crash):
          if crash: ctypes.string_at(0)
          return subprocess.run(['echo', 'from a program']).returncode
        """)
      let result = try await python.call(unit, [false])
      #expect(result == [0])
      _ = try await failure { try await python.call(unit, [true]) }
      #expect(python.output.contains("stdout: from a program"))
      #expect(python.output.contains { $0.contains("File \"talk.py\", line 3 in talk") })
    }
  }

  @Test("what is printed to the descriptor of standard output is logged, from programs too")
  func standardOutputDescriptor() async throws {
    try await withPython { python in
      let unit = SourceUnit.make(
        "talk() -> (int, int, bool)", .python,
        """
        import faulthandler, subprocess, sys
        def talk():
          faulthandler.enable()
          subprocess.run(['echo', 'to the descriptor'], stdout=sys.stdout, stderr=sys.stderr, check=True)
          return sys.stdout.fileno(), sys.stderr.fileno(), sys.stdout.isatty()
        """)
      #expect(try await python.call(unit) == [1, 2, false])
      try await eventually("the line") { python.output.contains("stdout: to the descriptor") }
    }
  }
}
