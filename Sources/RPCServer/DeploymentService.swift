internal import RPCDeployment
internal import RPCKeys
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
  /// - Parameter key: tells this server's own key, once the directory is locked.
  /// - Throws: `DeploymentError` where the directory cannot be used, `SystemError` where no thread starts, and what `key`
  ///   throws.
  init(directory: String, core: ServerCore, key: () throws(KeyError) -> PrivateKey) throws {
    let made = TransferBox<LoopConfined<DeploymentWorker>>()
    let store = TransferBox<GenerationStore>()
    let opened = try GenerationStore(directory: directory)
    opened.recover(as: try key())
    store.put(opened)
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

  /// One `system.deploy_*` call.
  func perform<Step: DeploymentStep>(
    _ step: Step, from sender: DeploymentSender, completion: @escaping Completion<Step.Answer>
  ) {
    let worker = worker
    let accepted = thread.mailbox.post { loop in
      worker.on(loop).perform(step, sender, completion)
    }
    if !accepted { completion(.failure(CallCore.draining)) }
  }

  /// A connection by which deployment calls came is closed: its deployment ends.
  func connectionEnded(_ connection: ObjectIdentifier) {
    let worker = worker
    thread.mailbox.post { loop in worker.on(loop).connectionEnded(connection) }
  }

  /// The keys that may deploy were read again: the deployment of one that may not any more ends.
  func deployersChanged() {
    let worker = worker
    thread.mailbox.post { loop in worker.on(loop).deployersChanged() }
  }

  func stop() {
    let worker = worker
    thread.mailbox.post { loop in worker.on(loop).close() }
    thread.stop()
    thread.join()
  }
}
