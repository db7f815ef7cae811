import Glibc
import RPCClient
public import RPCKeys
import RPCProcedures
import RPCWire

/// What the program `initializer` does: reads a file, deploys it, tells what happened.
public struct Initializer: Sendable {
  public enum Output: String, Sendable, CaseIterable {
    /// Lines for people.
    case human
    /// One object for programs.
    case json
  }

  public struct Options: Sendable {
    public var file = InitFile.defaultPath
    public var dryRun = false
    public var force = false
    /// Names of the only servers to deploy to; empty for all.
    public var servers: [String] = []
    public var output = Output.human
    public var isColored = false
    /// The longest that one step on one server may take.
    public var timeout: Duration = .seconds(30)
    /// Proves to servers that know deployers by their keys who is deploying.
    public var key: PrivateKey?

    public init() {}
  }

  /// What happened, as the program's exit code tells it.
  public enum Exit: Int32, Sendable {
    case done = 0
    /// A server was missed or refused.
    case failed = 1
    /// The file or the command line is wrong; no server was asked.
    case wrongInput = 2
    /// Interrupted before anything was changed.
    case interrupted = 130
  }

  private let options: Options

  public init(options: Options) {
    self.options = options
  }

  /// - Parameters:
  ///   - output: takes the result, what standard output is for.
  ///   - errors: takes what is wrong with the input.
  public func run(output: (String) -> Void, errors: (String) -> Void) async -> Exit {
    let file: InitFile
    do throws(InitFileErrors) {
      file = try InitFile.load(options.file)
    } catch {
      tell(error, output: output, errors: errors)
      return .wrongInput
    }
    if let name = options.servers.first(where: { file.network.server($0) == nil }) {
      let names = file.network.servers.map(\.name)
      let hint = Spelling.nearest(to: name, in: names)
      let error = Diagnostic(
        file: file.path, line: 0, column: 0, message: "there is no server '\(name)'", suggestion: hint)
      tell(InitFileErrors([error]), output: output, errors: errors)
      return .wrongInput
    }
    let report = await deploy(file)
    switch options.output {
    case .human: output(DeploymentText(report, isDryRun: options.dryRun, isColored: options.isColored).text)
    case .json: output(DeploymentJSON.value(of: report, isDryRun: options.dryRun).json + "\n")
    }
    if report.succeeded { return .done }
    return Task.isCancelled ? .interrupted : .failed
  }

  /// Deploys a file that is known to be right. For tools that have it open already.
  public func deploy(_ file: InitFile) async -> DeploymentReport {
    var clientOptions = ClientOptions()
    clientOptions.agent = "SimpleRPC initializer/1.0"
    clientOptions.key = options.key
    clientOptions.connectTimeout = min(clientOptions.connectTimeout, options.timeout)
    let client = RPCClient(topology: file.network, options: clientOptions)
    let manifests = file.manifests()
    let targets = file.network.servers.compactMap { server -> Deployer.Target? in
      guard options.servers.isEmpty || options.servers.contains(server.name) else { return nil }
      guard let manifest = manifests[server.name] else { return nil }
      return Deployer.Target(
        server: server, manifest: manifest,
        peer: ClientPeer(client: client, server: server.name, timeout: options.timeout))
    }
    var deployerOptions = Deployer.Options()
    deployerOptions.dryRun = options.dryRun
    deployerOptions.force = options.force
    deployerOptions.who = Self.who()
    let report = await Deployer(targets: targets, sources: file.sources, options: deployerOptions).run()
    await client.close()
    return report
  }

  private func tell(_ problems: InitFileErrors, output: (String) -> Void, errors: (String) -> Void) {
    switch options.output {
    case .human: errors(problems.description + "\n")
    case .json: output(DeploymentJSON.value(of: problems).json + "\n")
    }
  }

  /// `user@host`, for whoever finds the lock taken.
  static func who() -> String {
    var name = [CChar](repeating: 0, count: 256)
    let hasName = gethostname(&name, name.count - 1) == 0
    let host = String(decoding: name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    let user = getpwuid(geteuid()).map { String(cString: $0.pointee.pw_name) } ?? "uid \(geteuid())"
    return "\(user)@\(hasName ? host : "localhost") (process \(getpid()))"
  }
}
