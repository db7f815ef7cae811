import RPCClient
import RPCDeployment
import RPCWire

extension ShellSession {
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
    options.certificate = network?.certificate
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
  func adopt(_ file: InitFile) {
    network?.adopt(file)
    backend.update(topology: file.network)
    adopt(topology: file.network, declared: file.procedures)
  }

  /// Goes on with a file that has changed, and says so; one that is wrong changes nothing. False where there is nothing
  /// new.
  func take(_ change: InitFileSource.Change) -> Bool {
    switch change {
    case .failure(let errors):
      let count = errors.diagnostics.count + errors.omitted
      let more = count > 1 ? " (and \(count - 1) more)" : ""
      notify(
        .note("* the network stays as it was: \(errors.diagnostics.first?.description ?? "")\(more)"))
      return false
    case .success(let file):
      let known = snapshotWithoutStates
      guard file.network != known.topology || file.procedures != known.declared else { return false }
      adopt(file)
      let (before, after) = (Set(known.serverNames), Set(file.network.servers.map(\.name)))
      let names =
        after.subtracting(before).sorted().map { "+\($0)" }
        + before.subtracting(after).sorted().map { "-\($0)" }
      notify(
        .note(
          "* \(file.path) has changed" + (names.isEmpty ? "" : ": servers \(names.joined(separator: " "))")))
      return true
    }
  }
}
