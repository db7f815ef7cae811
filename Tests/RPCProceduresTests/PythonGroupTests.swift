import Foundation
import RPCWire
import TestSupport
import Testing

@testable import RPCProcedures

/// Against a folder that stands in for a control group: its files are what the kernel would be told.
@Suite("The control groups of Python's workers")
struct PythonGroupTests {
  private static func group(
    controllers: String = "cpu memory pids\n", processes: String = "\(getpid())\n"
  ) throws -> TemporaryDirectory {
    let folder = TemporaryDirectory()
    try folder.write(controllers, to: "cgroup.controllers")
    try folder.write(processes, to: "cgroup.procs")
    return folder
  }

  private static func names(_ folder: TemporaryDirectory) throws -> [String] {
    try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted()
  }

  /// The groups of workers, relative to the folder.
  private static func workers(_ folder: TemporaryDirectory) throws -> [String] {
    try names(folder).filter { $0.hasPrefix("worker-") }
  }

  private static let good = SourceUnit.make("good() -> int", .python, "def good(): return 1")

  private static func tier(_ python: RuntimeHarness) async -> String? {
    await python.onLoop { runtime, _ in (runtime as? WorkerPool)?.isolationTier }
  }

  @Test(
    "a group that is the server's alone is divided: each worker has its own, with bounds for all that is in it"
  )
  func divided() async throws {
    let folder = try Self.group()
    try await withPython(group: folder.path, { $0.python.workers = 2 }) { python in
      #expect(try await python.call(Self.good) == [1])
      #expect(try folder.read("rpc-server/cgroup.procs") == "\(getpid())")
      #expect(try folder.read("cgroup.subtree_control") == "+memory +pids")
      let worker = try #require(try Self.workers(folder).first)
      let bounds = RuntimeLimits().python
      let memory = bounds.memoryBytes + 2 * bounds.memorySlackBytes
      for (file, text) in [
        "memory.max": "\(memory)", "memory.oom.group": "1", "memory.swap.max": "0", "pids.max": "1024",
        // It goes there itself, before it has read a byte of a source.
        "cgroup.procs": "0",
      ] { #expect(try folder.read("\(worker)/\(file)") == text, "\(file)") }
      #expect(!folder.exists("\(worker)/cgroup.kill"))
      // A service of which one procedure may use more has room for that.
      let large = SourceUnit.make(
        "large() -> int", .python, "def large(): return 1", memory: bounds.memoryBytes * 2)
      #expect(try await python.call(large) == [1])
      #expect(
        try Self.workers(folder).contains {
          try folder.read("\($0)/memory.max") == "\(memory + bounds.memoryBytes)"
        })
      #expect(await Self.tier(python)?.hasSuffix(", control groups") == true)
    }
  }

  @Test("a worker is killed with everything that is in its group")
  func killed() async throws {
    let folder = try Self.group()
    try await withPython(group: folder.path, { $0.python.workers = 1 }) { python in
      let loop = SourceUnit.make("spin()", .python, "def spin():\n  while True: pass")
      try await python.prepare(loop)
      let error = try await failure { try await python.call(loop, milliseconds: 300) }
      #expect(error?.exception == .deadlineExceeded)
      #expect(try await python.call(Self.good, milliseconds: 60_000) == [1])
      let killed = try Self.workers(folder).filter { folder.exists("\($0)/cgroup.kill") }
      #expect(killed.count == 1)
      #expect(try folder.read("\(killed[0])/cgroup.kill") == "1")
    }
  }

  @Test("a worker that the kernel ends for its group's bound is one whose call used too much memory")
  func outOfMemory() async throws {
    let folder = try Self.group()
    try await withPython(
      group: folder.path,
      {
        $0.python.workers = 1
        $0.python.spareWorkers = 0
      }
    ) { python in
      #expect(try await python.call(Self.good) == [1])
      // What the kernel counts, and how it ends the process.
      let workers = try Self.workers(folder)
      #expect(!workers.isEmpty)
      for worker in workers {
        try folder.write("low 0\nmax 9\noom 1\noom_kill 1\n", to: "\(worker)/memory.events")
      }
      let ended = SourceUnit.make("ended()", .python, "import os\ndef ended(): os.kill(os.getpid(), 9)")
      let error = try await failure { try await python.call(ended, milliseconds: 60_000) }
      #expect(error?.exception == .resourceExhausted, "\(String(describing: error))")
      #expect(error?.limit == RuntimeLimits().python.memoryBytes)
    }
  }

  @Test("a group that is not the server's alone, or has not what bounds memory, is left as it is")
  func left() async throws {
    for folder in [
      try Self.group(processes: "1\n\(getpid())\n"), try Self.group(controllers: "cpu pids\n"),
      TemporaryDirectory(),
    ] {
      let before = try Self.names(folder)
      try await withPython(group: folder.path) { python in
        let answer = try await python.call(Self.good)
        #expect(answer == [1])
        #expect(await Self.tier(python)?.contains("control groups") == false)
      }
      #expect(try Self.names(folder) == before)
    }
  }
}
