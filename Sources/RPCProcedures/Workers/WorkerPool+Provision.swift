internal import RPCWire

/// What services are given, and what they may not have.
extension WorkerPool {
  /// Why the procedures of a service cannot be run here as it declares; or nil. What was deployed to a server that was
  /// started otherwise since is refused as well.
  internal func refusal(of unit: WorkerUnit) -> RPCError? {
    guard !unit.isPlain else { return nil }
    let confinement = unit.key.confinement
    let service = unit.key.signature.service
    let why =
      isolation.refusal(of: confinement, service: service)
      ?? secrets.refusal(of: confinement.provision, service: service)
    return why.map { RPCError(.failedPrecondition, $0, source: unit.key.sourceName) }
  }

  /// Ends idle workers whose secrets are no longer what they are; busy ones end with their calls.
  package func secretsChanged() {
    for worker in idle where hasOldSecrets(worker) { kill(worker) }
  }

  internal func hasOldSecrets(_ worker: WorkerConnection) -> Bool {
    let names = worker.order.confinement.provision.secrets
    return !names.isEmpty && worker.order.secrets != secrets.secrets(named: names)
  }
}
