package import RPCSystem
package import RPCWire

/// Starts the processes of a pool's workers and knows what becomes of them. It belongs to one loop.
package protocol WorkerLauncher: AnyObject {
  /// What the pool is told about its workers.
  var observer: (any WorkerLauncherObserver)? { get set }

  /// Starts a worker that serves the other end of a socket.
  ///
  /// - Throws: why none can be started now.
  func launch(_ id: UInt32, _ order: WorkerOrder, serving socket: borrowing Descriptor) throws(RPCError)

  /// Kills a worker with the processes that it started.
  func kill(_ id: UInt32)

  /// A worker has got work: until none has, they have to be looked after.
  func workBegan()

  /// Ends all workers and waits until they are gone.
  func shutDown()
}

/// What became of a worker.
package enum WorkerEnd {
  case exited(status: Int32)
  /// A signal ended or stopped it.
  case signalled(Int32)
  case notStarted(errno: Int32)
}

/// A worker as the server sees it.
package struct WorkerView {
  package var id: UInt32
  package var callsStarted: Int
  package var isBusy: Bool
}

/// Hears what a launcher reports.
package protocol WorkerLauncherObserver: AnyObject {
  /// What a worker wrote to its descriptors 1 and 2 themselves.
  func workerWrote(_ id: UInt32, _ bytes: ArraySlice<UInt8>)
  /// How many bytes a worker wrote there since this was last reported, `WorkerOutput.reportBytes` at least.
  func workerWroteMuch(_ id: UInt32, _ count: Int)
  /// Its call used more memory than it may, in bytes; it is being killed.
  func workerUsedTooMuch(_ id: UInt32, used: Int, limit: Int)
  /// Its call has more processes than it may; it is being killed.
  func workerStartedTooMany(_ id: UInt32, count: Int, limit: Int)
  /// Processes or threads of finished calls go on in an idle worker.
  func workerLeftSomething(_ id: UInt32)
  /// A worker ended. Reported for each that was launched, exactly once, unless all are lost first.
  func workerEnded(_ id: UInt32, _ end: WorkerEnd)
  /// What the workers are confined by, once that is known.
  func workersAreConfined(_ tier: IsolationTier)
  /// All workers are gone. `canStart` is false where none can be started either.
  func workersLost(_ error: RPCError, canStart: Bool)
  /// The workers as they are now.
  var workerViews: [WorkerView] { get }
  /// Whether calls or loads are in progress or wait.
  var isBusy: Bool { get }
}

/// What a worker writes past its language's own streams.
package enum WorkerOutput {
  /// How much it has written whenever that is reported, in bytes.
  static let reportBytes = 1024 * 1024
}
