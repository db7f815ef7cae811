import Glibc
import RPCProcedures
import RPCSystem
import RPCWire
import Testing

@Suite("Workers and those who start them")
struct WorkerPoolTests {
  private static let unit = SourceUnit.make("good(int) -> int", .python, "def good(a): return a + 1")

  /// Starts nothing, and tells of no end before it is asked to.
  ///
  /// `@unchecked Sendable`: it is used on the pool's loop only.
  private final class SlowLauncher: WorkerLauncher, @unchecked Sendable {
    weak var observer: (any WorkerLauncherObserver)?
    private(set) var launched = 0
    private var killed: [UInt32] = []
    /// The workers' ends of their sockets, so that none hangs up.
    private var sockets: [Int32] = []

    func launch(_ id: UInt32, _ order: WorkerOrder, serving socket: borrowing Descriptor) throws(RPCError) {
      launched += 1
      sockets.append(dup(socket.raw))
    }

    func kill(_ id: UInt32) { killed.append(id) }

    func workBegan() {}

    func catchUp() {
      let ended = killed
      killed = []
      for id in ended { observer?.workerEnded(id, .signalled(SIGKILL)) }
    }

    func shutDown() {
      for socket in sockets { close(socket) }
    }
  }

  @Test("a launcher that is behind is asked for a few workers more, whatever callers cancel")
  func cancels() async throws {
    let launcher = SlowLauncher()
    let harness = try RuntimeHarness { loop, log in
      var bounds = WorkerLimits()
      bounds.workers = 1
      bounds.spareWorkers = 0
      bounds.killedWorkers = 4
      let context = RuntimeContext(loop: loop, limits: RuntimeLimits(), log: log)
      return WorkerPool(title: "Slow", context: context, bounds: bounds, launcher: launcher)
    }
    func launched() async -> Int { await harness.onLoop { _, _ in launcher.launched } }
    for number in 0..<100 {
      let call = await harness.start(Self.unit, [1])
      await harness.cancel(call)
      let error = try await failure { try await call.result() }
      #expect(error?.exception == .cancelled)
      // Those that were not given to a worker were not begun.
      #expect(error?.executed == (number < 4 ? .maybe : .no))
    }
    #expect(await launched() == 4)
    let neighbour = await harness.start(Self.unit, [2])
    #expect(await launched() == 4)
    await harness.onLoop { _, _ in launcher.catchUp() }
    #expect(await launched() == 5)
    await harness.cancel(neighbour)
    #expect(try await failure { try await neighbour.result() }?.executed == .maybe)
    await harness.close()
  }
}
