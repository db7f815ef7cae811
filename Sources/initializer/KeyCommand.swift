import ArgumentParser
import RPCDeployment
import RPCKeys
import RPCSystem

/// Prints which key deployments are made with, for those who are to trust it.
struct KeyCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "key",
    abstract: "Print the key that deployments are made with: its file, its public half, its fingerprint.",
    discussion: "The key is made where there is none yet.")

  @Option(
    help: ArgumentHelp(
      "The private key to print (default: $RPC_KEY, else one of your own).", valueName: "file"),
    completion: .file())
  var key: String?

  func run() throws {
    do throws(KeyError) {
      let (key, path) = try DeployKey.chosen(key)
      StandardStreams.write("\(path)\n\(key.publicKey)\n\(key.publicKey.fingerprint)\n", to: 1)
    } catch {
      throw InputError(message: "\(error)")
    }
  }
}
