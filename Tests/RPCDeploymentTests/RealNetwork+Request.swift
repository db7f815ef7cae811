import RPCKeys
import Testing

@testable import RPCDeployment

extension RealNetwork {
  /// A deployment as the deployer signs it.
  static func request(
    _ transaction: String, _ manifest: Manifest, _ file: InitFile, _ peer: ClientPeer
  ) async throws -> DeployBegin {
    let content = DeploymentContent(manifest: manifest, topology: file.network)
    let status = try await peer.status()
    let key = Self.key
    let signed = Samples.signed(
      content, Samples.origin((status.highestSerial ?? 0) + 1, by: key),
      for: try #require(await peer.provenKey()), by: key)
    return DeployBegin(
      transaction: transaction, who: "me", base: DeploymentBase(), force: false, content: content,
      signed: signed)
  }
}
