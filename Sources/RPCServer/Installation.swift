internal import RPCDeployment
internal import RPCProcedures
internal import RPCSystem
internal import RPCTransport
internal import RPCWire

/// What the services of a deployment require, being installed. It keeps the deployment's lock for as long as it takes, and
/// belongs to the deployment thread.
internal final class Installation: TimerTarget {
  /// Between two renewals of the lock: a fraction of what it is held for.
  private static let renewalNanoseconds = DeploymentLimits.leaseNanoseconds / 3

  private let wanted: [PythonRequirements]
  private let transaction: String
  private let core: ServerCore
  private let staging: Staging
  private let loop: EventLoop
  private let installer: PythonInstaller
  private let answer: DeploymentService.Completion<[LoadFailure]>
  private var completion: (([LoadFailure]) -> Void)?
  private var timer: TimerID?
  /// The latest words of it, for people.
  private(set) var said: String?

  /// - Parameters:
  ///   - answer: of who waits; it gets the reason where this is cancelled.
  ///   - completion: gets what could not be installed.
  init(
    _ wanted: [PythonRequirements], for transaction: String, core: ServerCore, staging: Staging,
    on loop: EventLoop, _ answer: @escaping DeploymentService.Completion<[LoadFailure]>,
    completion: @escaping ([LoadFailure]) -> Void
  ) {
    self.wanted = wanted
    self.transaction = transaction
    self.core = core
    self.staging = staging
    self.loop = loop
    self.answer = answer
    self.completion = completion
    installer = PythonInstaller(
      loop: loop,
      options: PythonInstaller.Options(
        directory: core.environmentsDirectory ?? "",
        timeoutMilliseconds: core.options.installTimeoutMilliseconds,
        allowsSourceBuilds: core.options.allowsSourceBuilds, isolation: core.options.isolationPolicy),
      interpreters: core.interpreters)
  }

  func start() {
    timer = loop.schedule(after: Self.renewalNanoseconds, self)
    installer.install(
      wanted,
      progress: { [weak self] line in
        guard let self else { return }
        said = line
        core.log.note(line)
        staging.keepAlive(transaction, now: SystemClock.monotonicNanoseconds())
      },
      completion: { [weak self] failed in
        guard let self, let completion = self.completion else { return }
        end()
        completion(failed.map { self.failure($0, $1) })
      })
  }

  private func failure(_ wanted: PythonRequirements, _ error: RPCError) -> LoadFailure {
    LoadFailure(
      digest: wanted.digest, sourceName: "requirements", procedures: ["service \(wanted.service)"],
      message: error.message)
  }

  private func end() {
    completion = nil
    if let timer { loop.cancel(timer) }
    timer = nil
  }

  /// Nobody waits for it any more: what was begun is undone.
  func cancel() {
    guard completion != nil else { return }
    end()
    installer.cancel()
    answer(.failure(Staging.unknown(transaction).rpcError))
  }

  func shutDown() {
    cancel()
    installer.shutDown()
  }

  func timerFired(tag: UInt64, on loop: EventLoop) {
    staging.keepAlive(transaction, now: SystemClock.monotonicNanoseconds())
    timer = loop.schedule(after: Self.renewalNanoseconds, self)
  }
}
