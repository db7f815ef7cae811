import RPCDeployment
import RPCKeys

/// `initializer key`: which key deployments are made with, for those who are to trust it.
enum KeyWord {
  static let name = "key"

  /// Prints the private key's path, the public key and its fingerprint, a line each. The key is made where there is
  /// none yet.
  ///
  /// - Parameter named: the file of `--key`.
  static func run(named: String?) -> Initializer.Exit {
    do throws(KeyError) {
      let (key, path) = try DeployKey.chosen(named)
      Terminal.write("\(path)\n\(key.publicKey)\n\(key.publicKey.fingerprint)\n", to: 1)
      return .done
    } catch {
      Terminal.write("initializer: \(error)\n", to: 2)
      return .wrongInput
    }
  }
}
