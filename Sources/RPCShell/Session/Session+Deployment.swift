import RPCClient
import RPCDeployment
import RPCWire

extension Session {
  /// What the program `initializer` does, from here: the same checks, the same plan, the same two phases.
  func deploy(
    _ servers: [String], mode: Deployer.Mode, force: Bool
  ) async throws(CommandFailure) -> (file: InitFile, report: DeploymentReport) {
    let file = try networkFile()
    var options = Initializer.Options()
    options.file = file.path
    options.mode = mode
    options.force = force
    options.servers = servers
    options.key = network?.key
    if let name = servers.first(where: { file.network.server($0) == nil }) {
      throw .usage(
        "\(file.path) declares no server '\(name)'"
          + Suggestion.text(for: name, among: file.network.servers.map(\.name)))
    }
    let report = await Initializer(options: options).deploy(file)
    if Task.isCancelled { throw .interrupted }
    return (file, report)
  }

  /// The file behind this session as it is now, completely checked.
  func networkFile() throws(CommandFailure) -> InitFile {
    guard let network else { throw .other("this session has no init.yaml") }
    return try network.load()
  }

  /// Goes on with what the file says now.
  func adopt(_ file: InitFile) async {
    backend.update(topology: file.network)
    adopt(topology: file.network, declared: file.procedures)
    _ = await lookAround(at: nil)
  }
}
