import RPCClient
import RPCDeployment
import RPCKeys
import RPCProcedures
import RPCSystem

/// Where the network is described: the file that was named at the start, and what it said when it was last right.
final class NetworkSource: Sendable {
  let path: String
  /// What its servers know the deployer by.
  let key: PrivateKey?
  let certificate: OwnCertificate?
  private let latest: Lock<InitFile>

  init(_ file: InitFile, key: PrivateKey?, certificate: OwnCertificate?) {
    path = file.path
    self.key = key
    self.certificate = certificate
    latest = Lock(file)
  }

  /// What the session goes by.
  var file: InitFile { latest.withLock { $0 } }

  func adopt(_ file: InitFile) { latest.withLock { $0 = file } }

  /// What the file says now, and then each change of it.
  var changes: AsyncStream<InitFileSource.Change> { InitFileSource(path).files }

  /// The file with its sources, for what deploys.
  func load() throws(CommandFailure) -> InitFile {
    do throws(InitFileErrors) {
      return try InitFile.load(path)
    } catch {
      throw .other(error.description)
    }
  }
}
