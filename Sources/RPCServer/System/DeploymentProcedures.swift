internal import RPCDeployment
internal import RPCKeys
internal import RPCTransport
internal import RPCWire

/// Whom a step of a deployment comes from.
internal struct DeploymentSender: Sendable {
  /// By which the call came.
  var connection: ObjectIdentifier
  /// What was proven on it.
  var key: PublicKey?
}

/// A procedure of `system` that is done on the deployment thread.
internal protocol DeploymentStep: SystemHandler {
  /// Answers now or later, exactly once.
  ///
  /// - Throws: why the step is refused, and then it is not answered otherwise.
  func perform(
    by worker: DeploymentWorker, from sender: DeploymentSender, now: UInt64,
    _ answer: @escaping DeploymentService.Completion<Answer>
  ) throws(DeploymentError)
}

extension DeploymentStep {
  func run(_ call: SystemCall<Self>) throws(RPCError) {
    guard let service = call.host.core.deployments else {
      throw RPCError(.failedPrecondition, "this server keeps no deployments (it has no data directory)")
    }
    let connection = call.connection
    connection.hasDeployed = true
    service.perform(
      naming(connection.caller),
      from: DeploymentSender(connection: ObjectIdentifier(connection), key: connection.caller.key),
      completion: call.later())
  }

  /// What a deployer has proven goes before what it says of itself, which may be cut.
  private func naming(_ caller: Caller) -> Self {
    guard let key = caller.key, var request = self as? any NamesDeployer else { return self }
    request.who = "\(key.fingerprint) \(request.who)"
    return request as? Self ?? self
  }
}

extension DeployStatus: DeploymentStep {
  func perform(
    by worker: DeploymentWorker, from sender: DeploymentSender, now: UInt64,
    _ answer: @escaping DeploymentService.Completion<DeploymentStatus>
  ) {
    var status = worker.staging.status(now: now, trusts: worker.trusts)
    status.progress = worker.installation?.said
    let found = status
    worker.gatherIsolation { tier in
      var status = found
      status.isolation = tier
      answer(.success(status))
    }
  }
}

extension DeployBegin: DeploymentStep {
  func perform(
    by worker: DeploymentWorker, from sender: DeploymentSender, now: UInt64,
    _ answer: @escaping DeploymentService.Completion<[String]>
  ) throws(DeploymentError) {
    let wanted = try worker.staging.begin(self, from: sender.key, connection: sender.connection, now: now)
    let sources = wanted.count == 1 ? "source" : "sources"
    worker.note("deployment \(transaction) by \(who): \(wanted.count) \(sources) wanted")
    answer(.success(wanted))
  }
}

extension DeployPut: DeploymentStep {
  func perform(
    by worker: DeploymentWorker, from sender: DeploymentSender, now: UInt64,
    _ answer: @escaping DeploymentService.Completion<Int>
  ) throws(DeploymentError) {
    answer(
      .success(
        try worker.staging.put(
          transaction, digest: digest, offset: offset, bytes: data, last: last,
          connection: sender.connection, now: now)))
  }
}

extension DeployPrepare: DeploymentStep {
  func perform(
    by worker: DeploymentWorker, from sender: DeploymentSender, now: UInt64,
    _ answer: @escaping DeploymentService.Completion<Answer>
  ) throws(DeploymentError) {
    try worker.prepare(transaction, sender.connection, now: now) { result in
      answer(result.map { Answer(failures: $0) })
    }
  }
}

extension DeployCommit: DeploymentStep {
  func perform(
    by worker: DeploymentWorker, from sender: DeploymentSender, now: UInt64,
    _ answer: @escaping DeploymentService.Completion<Int>
  ) throws(DeploymentError) {
    try worker.commit(transaction, sender.connection, now: now) { serial in answer(.success(serial)) }
  }
}

extension DeployAbort: DeploymentStep {
  func perform(
    by worker: DeploymentWorker, from sender: DeploymentSender, now: UInt64,
    _ answer: @escaping DeploymentService.Completion<NoAnswer>
  ) {
    worker.staging.abort(transaction)
    answer(.success(NoAnswer()))
  }
}

extension DeployUnlock: DeploymentStep {
  func perform(
    by worker: DeploymentWorker, from sender: DeploymentSender, now: UInt64,
    _ answer: @escaping DeploymentService.Completion<DeploymentStatus.Lock?>
  ) {
    let lock = worker.staging.unlock(by: who, now: now)
    if let lock { worker.note("the deployment of \(lock.who) was ended by \(who)") }
    answer(.success(lock))
  }
}
