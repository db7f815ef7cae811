import Glibc
package import RPCClient
package import RPCKeys
import RPCNetwork
package import RPCProcedures
import RPCWire

/// What the program `initializer` does: reads a file, deploys it, reports what happened.
package struct Initializer: Sendable {
  package enum Output: String, Sendable, CaseIterable {
    /// Lines for people.
    case human
    /// One object for programs.
    case json
  }

  package struct Options: Sendable {
    package var file = InitFile.defaultPath
    package var mode = Deployer.Mode.apply
    package var force = false
    /// Names of the only servers to deal with; empty for all.
    package var servers: [String] = []
    package var output = Output.human
    package var isColored = false
    /// The longest that one step on one server may take.
    package var timeout: Duration = .seconds(30)
    /// Proves to servers that know deployers by their keys who is deploying.
    package var key: PrivateKey?
    /// The file of its public half, for those who are to trust it.
    package var publicKeyPath: String?
    /// Shown to servers that know deployers by it.
    package var certificate: OwnCertificate?
    /// Why this is deployed, in the deployer's words.
    package var message: String?
    /// What procedures may be written in.
    package var languages = Languages.all
    /// Takes what servers say that they do, where that takes long, as lines.
    package var progress: (@Sendable (String) -> Void)?

    package init() {}
  }

  /// What happened, as the program's exit code says it.
  package enum Exit: Int32, Sendable {
    case done = 0
    /// A server was missed or refused, or the result could not be written.
    case failed = 1
    /// The file or the command line is wrong; no server was asked.
    case wrongInput = 2
    /// Interrupted before anything was changed.
    case interrupted = 130
  }

  private let options: Options

  package init(options: Options) {
    self.options = options
  }

  // MARK: apply

  /// Deploys the file, or tries whether it could be.
  ///
  /// - Parameters:
  ///   - output: takes the result, what standard output is for.
  ///   - errors: takes what is wrong with the input.
  package func run(output: (String) -> Void, errors: (String) -> Void) async -> Exit {
    guard let file = load(checkingSources: true, output: output, errors: errors) else { return .wrongInput }
    let report = await deploy(file)
    let isDryRun = options.mode != .apply
    switch options.output {
    case .human: output(DeploymentText(report, isDryRun: isDryRun, isColored: options.isColored).text)
    case .json: output(DeploymentJSON.value(of: report, isDryRun: isDryRun).json + "\n")
    }
    if report.succeeded { return .done }
    return Task.isCancelled ? .interrupted : .failed
  }

  /// Deploys a file that is known to be right. For tools that have it open already.
  package func deploy(_ file: InitFile) async -> DeploymentReport {
    let client = client(of: file)
    let manifests = file.manifests()
    let chosen = chosen(file)
    let targets = chosen.compactMap { server -> Deployer.Target? in
      guard let manifest = manifests[server.name] else { return nil }
      return Deployer.Target(
        server: server, content: DeploymentContent(manifest: manifest, topology: file.network),
        peer: ClientPeer(client: client, server: server.name, timeout: options.timeout))
    }
    var deployerOptions = Deployer.Options()
    deployerOptions.mode = options.mode
    deployerOptions.force = options.force
    deployerOptions.who = Self.who()
    if let progress = options.progress { deployerOptions.progress = { progress("\($0): \($1)\n") } }
    deployerOptions.key = signingKey
    deployerOptions.network = file.networkName
    deployerOptions.message = options.message
    deployerOptions.id = DeploymentID.of(
      network: file.networkName, topology: file.network, manifests: manifests.values)
    let witnesses = file.network.servers.filter { server in !chosen.contains { $0.name == server.name } }
    let patience = min(options.timeout, Self.witnessTimeout)
    var report = await Deployer(
      targets: targets, sources: file.sources,
      witnesses: witnesses.map { ClientPeer(client: client, server: $0.name, timeout: patience) },
      options: deployerOptions
    ).run()
    report.sourcePaths = file.sourcePaths
    report.places = file.places
    report.publicKeyPath = options.publicKeyPath.flatMap { access($0, R_OK) == 0 ? $0 : nil }
    await client.close()
    report.hints = file.hints.filter { report.refuses(sourceNamed: $0.sourceName) }.map(\.diagnostic)
    return report
  }

  /// How long servers that are not deployed to may take to say what serial they have seen.
  private static let witnessTimeout: Duration = .seconds(2)

  // MARK: unlock

  /// Ends the deployments that are under way on the file's servers, and says whose they were.
  package func unlock(output: (String) -> Void, errors: (String) -> Void) async -> Exit {
    guard let file = load(checkingSources: false, output: output, errors: errors) else { return .wrongInput }
    let client = client(of: file)
    let servers = chosen(file)
    let timeout = options.timeout
    let results = await withTaskGroup(
      of: (Int, Result<DeploymentStatus.Lock?, RPCError>).self,
      returning: [UnlockReport.Server].self
    ) { group in
      for (index, server) in servers.enumerated() {
        group.addTask {
          let peer = ClientPeer(client: client, server: server.name, timeout: timeout)
          do throws(RPCError) {
            return (index, .success(try await peer.unlock(who: Self.who())))
          } catch {
            return (index, .failure(error))
          }
        }
      }
      var found: [Int: Result<DeploymentStatus.Lock?, RPCError>] = [:]
      for await (index, result) in group { found[index] = result }
      return servers.enumerated().compactMap { index, server in
        found[index].map {
          UnlockReport.Server(name: server.name, result: $0.mapError { $0.beside(server) })
        }
      }
    }
    await client.close()
    let report = UnlockReport(servers: results)
    switch options.output {
    case .human: output(report.text)
    case .json: output(report.value.json + "\n")
    }
    return report.succeeded ? .done : .failed
  }

  // MARK: Shared

  /// What deployments are signed with: the key, or that of the certificate.
  private var signingKey: PrivateKey? { options.key ?? options.certificate?.signingKey }

  /// The file, checked, with every server that was asked for; nil after saying what is wrong.
  private func load(
    checkingSources: Bool, output: (String) -> Void, errors: (String) -> Void
  ) -> InitFile? {
    do throws(InitFileErrors) {
      let file = try InitFile.load(
        options.file, checkingSources: checkingSources, languages: options.languages)
      if let name = options.servers.first(where: { file.network.server($0) == nil }) {
        let hint = Spelling.nearest(to: name, in: file.network.servers.map(\.name))
        throw InitFileErrors([
          Diagnostic(
            file: file.path, line: 0, column: 0, message: "there is no server '\(name)'", suggestion: hint)
        ])
      }
      return file
    } catch {
      switch options.output {
      case .human: errors(error.description + "\n")
      case .json: output(DeploymentJSON.value(of: error).json + "\n")
      }
      return nil
    }
  }

  private func chosen(_ file: InitFile) -> [Topology.Server] {
    file.network.servers.filter { options.servers.isEmpty || options.servers.contains($0.name) }
  }

  private func client(of file: InitFile) -> RPCClient {
    var clientOptions = ClientOptions()
    clientOptions.agent = "initializer/\(Release.version)"
    clientOptions.key = signingKey
    clientOptions.certificate = options.certificate
    clientOptions.connectTimeout = min(clientOptions.connectTimeout, options.timeout)
    return RPCClient(topology: file.network, options: clientOptions)
  }

  /// `user@host`, for others who find the lock taken.
  static func who() -> String {
    var name = [CChar](repeating: 0, count: 256)
    let hasName = gethostname(&name, name.count - 1) == 0
    let host = String(decoding: name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    let user = getpwuid(geteuid()).map { String(cString: $0.pointee.pw_name) } ?? "uid \(geteuid())"
    return "\(user)@\(hasName ? host : "localhost") (process \(getpid()))"
  }
}
