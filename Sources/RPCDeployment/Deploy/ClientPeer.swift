package import RPCClient
package import RPCKeys
import RPCProcedures
package import RPCWire

/// A server reached by the ordinary client: the steps are calls of `system.deploy_*`.
package struct ClientPeer: DeploymentPeer {
  private let client: RPCClient
  private let server: String
  private let timeout: Duration

  /// - Parameter timeout: the longest that one step may take.
  package init(client: RPCClient, server: String, timeout: Duration) {
    self.client = client
    self.server = server
    self.timeout = timeout
  }

  package func status() async throws(RPCError) -> DeploymentStatus { try await call(DeployStatus()) }

  package func provenKey() async -> PublicKey? { client.provenKey(of: server) }

  package func catalogue() async throws(RPCError) -> ServerCatalogue { try await call(DescribeCatalogue()) }

  package func begin(_ request: DeployBegin) async throws(RPCError) -> [String] {
    do throws(RPCError) {
      return try await call(request)
    } catch {
      guard error.exception == .invalidArguments, error.executed == .no else { throw error }
      // It has the procedure, with the arguments of another release.
      let release = (try? await catalogue())?.version ?? "another release"
      throw RPCError(
        .failedPrecondition,
        "the server runs \(release) and this is \(Release.agent): use programs of one release")
    }
  }

  package func put(_ request: DeployPut) async throws(RPCError) -> Int { try await call(request) }

  /// The server has a bound of its own for installing. One that is gone is noticed by the client's signs of life.
  private static let installTimeout: Duration = .seconds(24 * 60 * 60)

  package func prepare(_ transaction: String, installs: Bool) async throws(RPCError) -> [LoadFailure] {
    try await call(
      DeployPrepare(transaction: transaction), within: installs ? Self.installTimeout : timeout
    ).failures
  }

  package func commit(_ transaction: String) async throws(RPCError) -> Int {
    try await call(DeployCommit(transaction: transaction))
  }

  package func abort(_ transaction: String) async throws(RPCError) {
    _ = try await call(DeployAbort(transaction: transaction))
  }

  package func unlock(who: String) async throws(RPCError) -> DeploymentStatus.Lock? {
    try await call(DeployUnlock(who: who))
  }

  private func call<Request: SystemProcedure>(
    _ request: Request, within limit: Duration? = nil
  ) async throws(RPCError) -> Request.Answer {
    let result = try await client.invoke(
      Request.signature.qualifiedName, request.arguments, on: server, options: .deadline(limit ?? timeout))
    return try Request.answer(result.values)
  }
}
