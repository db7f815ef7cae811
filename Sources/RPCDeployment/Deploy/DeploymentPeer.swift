package import RPCKeys
package import RPCWire

/// One server as a deployment talks to it. Each step may be repeated with the same answer.
package protocol DeploymentPeer: Sendable {
  func status() async throws(RPCError) -> DeploymentStatus
  /// What the server has proven to own by now; nil where nobody asked.
  func provenKey() async -> PublicKey?
  func catalogue() async throws(RPCError) -> ServerCatalogue
  /// Takes the lock; returns the digests of the sources that the server lacks.
  func begin(_ request: DeployBegin) async throws(RPCError) -> [String]
  /// Sends a part of a source; returns how many bytes of it the server has.
  func put(_ request: DeployPut) async throws(RPCError) -> Int
  /// Returns once everything is loaded and durable, or what could not be loaded. Renews the lock where it is
  /// prepared already.
  ///
  /// - Parameter installs: whether packages may have to be installed first, which takes longer than any other step.
  func prepare(_ transaction: String, installs: Bool) async throws(RPCError) -> [LoadFailure]
  /// Puts the prepared generation in force; returns its serial.
  func commit(_ transaction: String) async throws(RPCError) -> Int
  func abort(_ transaction: String) async throws(RPCError)
  /// Ends the deployment that is under way there; returns whose it was, nil when there was none.
  func unlock(who: String) async throws(RPCError) -> DeploymentStatus.Lock?
}

extension DeploymentPeer {
  func prepare(_ transaction: String) async throws(RPCError) -> [LoadFailure] {
    try await prepare(transaction, installs: false)
  }
}
