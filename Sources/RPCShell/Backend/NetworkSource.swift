import RPCClient
import RPCDeployment
import RPCKeys
import RPCProcedures

/// Where the network is described: the file that was named at the start, read again whenever somebody asks.
struct NetworkSource: Sendable {
  var path: String
  /// What its servers know whoever deploys by.
  var key: PrivateKey?

  /// The file with its sources, for what deploys.
  func load() throws(CommandFailure) -> InitFile {
    do throws(InitFileErrors) {
      return try InitFile.load(path)
    } catch {
      throw .other(error.description)
    }
  }
}
