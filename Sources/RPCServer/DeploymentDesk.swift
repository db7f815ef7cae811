internal import RPCWire

/// placeholder until the store lands
internal final class DeploymentDesk: Sendable {
  func handle(
    _ procedure: SystemProcedure, _ values: [Value],
    completion: @escaping @Sendable (Result<[Value], RPCError>) -> Void
  ) {}
}
