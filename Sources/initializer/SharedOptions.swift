import ArgumentParser
import RPCArguments
import RPCClient
import RPCDeployment
import RPCKeys
import RPCSystem

/// The file, for commands that have something else as their argument.
struct FileOption: ParsableArguments {
  @Option(
    name: .long,
    help: ArgumentHelp("The file that names the servers.", valueName: "file"), completion: .file())
  var file = InitFile.defaultPath
}

/// What every command takes.
struct SharedOptions: ParsableArguments {
  enum Output: String, ExpressibleByArgument, CaseIterable { case human, json }
  enum Color: String, ExpressibleByArgument, CaseIterable { case auto, always, never }

  @Option(
    name: .long, parsing: .upToNextOption, help: "These servers alone, by their names in the file.",
    completion: .custom { words, _, _ in NetworkNames(words: words, flag: "--file").servers })
  var server: [String] = []

  @Option(name: .shortAndLong, help: "human or json: lines for people, or one object for programs.")
  var output: Output = .human

  @Option(name: .long, help: "auto, always or never. NO_COLOR is respected.")
  var color: Color = .auto

  @Option(name: .long, help: "Seconds that one step on one server may take.")
  var timeout: Double = 30

  @Option(
    help: ArgumentHelp(
      "The private key to deploy with (default: $RPC_KEY, else one of your own, which is made at first use).",
      valueName: "file"),
    completion: .file())
  var key: String?

  @OptionGroup var certificateOptions: CertificateOptions

  func validate() throws {
    guard timeout >= 0.1, timeout <= 86_400 else {
      throw ValidationError("--timeout must be from 0.1 to 86400 seconds, not \(timeout)")
    }
  }

  private func certificate() throws(KeyError) -> OwnCertificate? {
    guard let files = certificateOptions.files else { return nil }
    return try OwnCertificate(certificate: files.certificate, key: files.key)
  }

  /// - Throws: `InputError` where the key cannot be used.
  func options(file: String) throws(InputError) -> Initializer.Options {
    var options = Initializer.Options()
    options.file = file
    options.servers = server
    options.output = output == .json ? .json : .human
    options.timeout = .milliseconds(Int(timeout * 1000))
    do throws(KeyError) {
      options.certificate = try certificate()
      // A certificate of an Ed25519 key says who deploys, unless another key is named.
      if options.certificate?.key == nil || KeyFile.chosenPath(key) != nil {
        let (key, path) = try DeployKey.chosen(key)
        options.key = key
        options.publicKeyPath = path + ".pub"
      }
    } catch {
      throw InputError(message: "\(error)")
    }
    switch color {
    case .always: options.isColored = true
    case .never: options.isColored = false
    case .auto: options.isColored = StandardStreams.showsColors
    }
    return options
  }
}
