import RPCProcedures
import RPCWire
import Testing

@Suite("Python procedures that call Python procedures")
struct PythonNestedTests {
  @Test("eight that each call another one are all answered, with four workers")
  func eightAtOnce() async throws {
    try await withPython { python in
      LoopbackCaller.register(.make("inner8(int) -> int", .python, "def inner8(a): return a + 1"))
      let outer = SourceUnit.make(
        "outer8(int) -> int", .python,
        "import rpc\ndef outer8(a): return rpc.call(None, 'service1.inner8', a) + 1")
      try await python.prepare(outer)
      for _ in 0..<3 {
        var calls: [PendingCall] = []
        for number in 0..<8 {
          calls.append(await python.start(outer, [.int(Int64(number))], milliseconds: 60_000))
        }
        for (number, call) in calls.enumerated() {
          #expect(try await call.result() == [.int(Int64(number) + 2)])
        }
      }
    }
  }

  @Test("more of them than may wait at once are answered too")
  func crowd() async throws {
    try await withPython({
      $0.python.workers = 2
      $0.python.waitingWorkers = 3
    }) { python in
      LoopbackCaller.register(.make("innerCrowd(int) -> int", .python, "def innerCrowd(a): return a + 1"))
      let outer = SourceUnit.make(
        "outerCrowd(int) -> int", .python,
        "import rpc\ndef outerCrowd(a): return rpc.call(None, 'service1.innerCrowd', a)")
      var calls: [PendingCall] = []
      try await python.prepare(outer)
      for number in 0..<60 {
        calls.append(await python.start(outer, [.int(Int64(number))], milliseconds: 120_000))
      }
      for (number, call) in calls.enumerated() {
        #expect(try await call.result() == [.int(Int64(number) + 1)])
      }
    }
  }

  private static let countdown = SourceUnit.make(
    "countdown(int) -> int", .python,
    """
    import rpc
    def countdown(left):
      return 0 if left == 0 else 1 + rpc.call(None, 'service1.countdown', left - 1)
    """)

  @Test(
    "a recursion is answered to the greatest depth, with one worker",
    arguments: [1, 8, WireLimits.callDepthMax])
  func recursion(depth: Int) async throws {
    try await withPython({ $0.python.workers = 1 }) { python in
      LoopbackCaller.register(Self.countdown)
      try await python.prepare(Self.countdown)
      #expect(
        try await python.call(Self.countdown, [.int(Int64(depth))], milliseconds: 120_000) == [
          .int(Int64(depth))
        ])
    }
  }

  @Test("a recursion without end is refused with its depth, and everybody goes on")
  func endlessRecursion() async throws {
    try await withPython({ $0.python.workers = 1 }) { python in
      LoopbackCaller.register(Self.countdown)
      try await python.prepare(Self.countdown)
      let error = try await failure {
        try await python.call(
          Self.countdown, [.int(Int64(WireLimits.callDepthMax) + 1)], milliseconds: 120_000)
      }
      #expect(error?.exception == .executionException)
      #expect(
        error?.message
          == "ResourceExhausted: service1.countdown was not called: procedures may call each other 16 deep, and this call would be 17 deep (do they call each other in a circle?)"
      )
      #expect(error?.source == "countdown.py:3")
      #expect(try await python.call(Self.countdown, [2], milliseconds: 60_000) == [2])
    }
  }

  @Test("a call that waits for another one is ended by its deadline, with the one it waits for")
  func deadline() async throws {
    try await withPython({ $0.python.workers = 1 }) { python in
      LoopbackCaller.register(.make("forever() -> int", .python, "def forever():\n  while True: pass"))
      let outer = SourceUnit.make(
        "outerForever() -> int", .python,
        "import rpc\ndef outerForever(): return rpc.call(None, 'service1.forever')")
      let quick = SourceUnit.make("quick() -> int", .python, "def quick(): return 1")
      try await python.prepare(outer)
      for _ in 0..<3 {
        let error = try await failure { try await python.call(outer, milliseconds: 300) }
        #expect(error?.exception == .deadlineExceeded)
        #expect(try await python.call(quick, milliseconds: 60_000) == [1])
      }
    }
  }
}
