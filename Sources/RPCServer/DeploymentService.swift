internal import RPCDeployment
internal import RPCProcedures
internal import RPCSystem
internal import RPCTransport
internal import RPCWire

/// Takes deployments, on a thread of its own, so that a disk that is slow to sync delays no call.
internal final class DeploymentService: Sendable {
  typealias Completion<Answer> = @Sendable (Result<Answer, RPCError>) -> Void

  private let thread: LoopThread
  private let worker: LoopConfined<DeploymentWorker>

  /// Opens the store.
  ///
  /// - Throws: `DeploymentError` where the directory cannot be used, `SystemError` where no thread starts.
  init(directory: String, core: ServerCore) throws {
    let made = TransferBox<LoopConfined<DeploymentWorker>>()
    let store = TransferBox<GenerationStore>()
    store.put(try GenerationStore(directory: directory))
    thread = try LoopThread(name: "rpc-deploy") { loop in
      made.put(LoopConfined(DeploymentWorker(store: store.take(), core: core, loop: loop), to: loop))
    }
    let ready = Latch()
    thread.mailbox.post { _ in ready.signal() }
    ready.wait()
    worker = made.take()
  }

  /// Puts the generation on disk in force, as at the server's start; `completion` runs when calls of it are
  /// served.
  func restore(completion: @escaping @Sendable () -> Void) {
    let worker = worker
    thread.mailbox.post { loop in worker.on(loop).restore(completion) }
  }

  /// One `system.deploy_*` call, which came by `connection`.
  func perform<Step: DeploymentStep>(
    _ step: Step, connection: ObjectIdentifier, completion: @escaping Completion<Step.Answer>
  ) {
    let worker = worker
    let accepted = thread.mailbox.post { loop in
      worker.on(loop).perform(step, connection, completion)
    }
    if !accepted { completion(.failure(CallCore.draining)) }
  }

  /// A connection by which deployment calls came is closed: its deployment ends.
  func connectionEnded(_ connection: ObjectIdentifier) {
    let worker = worker
    thread.mailbox.post { loop in worker.on(loop).connectionEnded(connection) }
  }

  func stop() {
    let worker = worker
    thread.mailbox.post { loop in worker.on(loop).close() }
    thread.stop()
    thread.join()
  }
}
