import ArgumentParser
import Glibc
import RPCDeployment
import RPCServer
import RPCSettings
import RPCSystem
import RPCTransport

/// `rpc-server IP PORT`: the daemon that runs on every node.
@main
struct RPCServerCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "rpc-server",
    abstract: "Serves the procedures that an initializer assigns to this node.",
    usage: """
      rpc-server HOST PORT [OPTION]…
      rpc-server --config FILE [OPTION]…
      """,
    discussion: """
      What was assigned is kept in the data directory, so a server that is started again serves it without \
      being told. SIGTERM drains and stops, a second one stops at once, SIGHUP opens the log file again and \
      reads the certificates, the secrets, the deployers' keys and FILE again.

      Each flag but those of 'Instead of serving' is a key of FILE, which is YAML, such as 'max-frame: 65536', and a \
      variable such as RPC_SERVER_MAX_FRAME. A variable wins over the file, and a flag over both.

      Exit codes: 0 stopped as told, 1 the address cannot be served or a check failed, 2 wrong arguments or settings, \
      3 the data directory, the log file, the server's own key, its certificate, the secrets or the \
      deployers' keys cannot be used.
      """,
    version: "rpc-server \(Server.version)")

  @Argument(
    help: "IPv4 or IPv6 address, or host name, to listen on.",
    completion: .custom { _, _, _ in NetworkNames(words: [], flag: "").hosts })
  var host: String?

  @Argument(
    help: "TCP port to listen on; 0 takes a free one and prints it.",
    completion: .custom { words, index, _ in
      NetworkNames(words: [], flag: "").ports(after: words.prefix(index))
    })
  var port: Int?

  @Option(
    help: ArgumentHelp("A file of settings (default: $RPC_SERVER_CONFIG).", valueName: "file"),
    completion: .file(extensions: ["yaml", "yml"]))
  var config: String?

  @Option(
    help: ArgumentHelp(
      "Where to keep what is assigned (default: $STATE_DIRECTORY, else $XDG_STATE_HOME/simplerpc/HOST-PORT).",
      valueName: "directory"), completion: .directory)
  var data: String?

  @Option(
    help: ArgumentHelp(
      "A file with the public keys of those who may deploy (default: $CONFIGURATION_DIRECTORY/deployers, else the "
        + "deploy key of the same user).",
      valueName: "file"), completion: .file())
  var deployers: String?

  enum IsolationLevel: String, ExpressibleByArgument, CaseIterable {
    case none
    case standard = "default"
    case required
  }

  @Option(help: "How far processes of procedures are confined at least.")
  var isolation = IsolationLevel.standard

  @Option(
    help: ArgumentHelp(
      "What services may name in 'read' and 'write', with all below; may be repeated.", valueName: "path"))
  var allowPath: [String] = []

  @Option(
    help: ArgumentHelp(
      "A folder (mode 0700) with a file (0600) for each secret that services may name.", valueName: "dir"))
  var secrets: String?

  @Option(
    help: ArgumentHelp(
      "A folder with interpreters of Python, or pyenv's with its versions, that services may ask for; may be repeated.",
      valueName: "dir"), completion: .directory)
  var interpreters: [String] = []

  @Option(help: "How long installing the requirements of a service may take, in milliseconds.")
  var installTimeout = ServerOptions().installTimeoutMilliseconds

  @Flag(help: "Let requirements be built from source, which runs code of the packages.")
  var allowSourceBuilds = false

  @Option(help: "Event loops, each on its own thread; 0 for one per core.")
  var loops = 0

  @OptionGroup(title: ActionArguments.title) var actions: ActionArguments
  @OptionGroup(title: "TLS") var tls: TLSArguments
  @OptionGroup(title: "Limits") var limits: LimitOptions
  @OptionGroup(title: "Procedures, on each loop") var procedures: ProcedureOptions
  @OptionGroup(title: "Python, on each loop") var python: PythonOptions
  @OptionGroup(title: "Lua, on each loop") var lua: LuaOptions
  @OptionGroup(title: "HTTP") var http: HTTPArguments
  @OptionGroup(title: "Log") var log: LogArguments

  /// Looks at each value by itself: those of a file are tried one by one, to tell the place of a wrong one. What must
  /// go together is `checkTogether`'s.
  func validate() throws {
    if let port, !(0...65_535).contains(port) {
      throw ValidationError("the port must be 0 to 65535, not \(port)")
    }
    guard (0...1024).contains(loops) else { throw ValidationError("--loops must be 0 to 1024, not \(loops)") }
    try LimitOptions.require(installTimeout, 1000...86_400_000, "--install-timeout")
    if let path = allowPath.first(where: { !$0.hasPrefix("/") }) {
      throw ValidationError("--allow-path takes whole paths, not '\(path)'")
    }
    if let problem = interpreters.lazy.compactMap(WholePath.problem(ofFolder:)).first {
      throw ValidationError("--interpreters \(problem)")
    }
    guard host != "" else { throw ValidationError("the address to listen on is empty") }
  }

  /// Looks at values that say something together only.
  func checkTogether() throws {
    guard host != nil else {
      throw ValidationError(
        "missing '<host>', the address to listen on: give it, or 'host' in a --config file")
    }
    guard port != nil else {
      throw ValidationError(
        "missing '<port>', the TCP port to listen on: give it, or 'port' in a --config file")
    }
    try tls.checkTogether()
  }

  func run() throws {
    let words = Array(CommandLine.arguments.dropFirst())
    // Who uses the command line alone starts without looking into what it could have been told otherwise.
    var settings: ServerSettings?
    do {
      settings = ServerSettings.isNeeded(for: self) ? try ServerSettings.load(words, parsed: self) : nil
    } catch let errors as SettingErrors where actions.check {
      StandardStreams.write(errors.lines.map { "failed  settings        \($0)\n" }.joined(), to: 1)
      throw ExitCode.failure
    }
    let command = settings?.command ?? self
    try command.checkTogether()
    for stranger in settings?.settings.strangers ?? [] {
      StandardStreams.write("rpc-server: \(stranger)\n", to: 2)
    }
    let (host, port, options) = (command.host ?? "", command.port ?? 0, command.options)
    if actions.printConfig {
      StandardStreams.write(settings?.text ?? "", to: 1)
      throw ExitCode(StandardStreams.exitCode(ServerProgram.ExitCode.ok, of: "rpc-server"))
    }
    if actions.printPin { throw ExitCode(ServerProgram.printPins(host: host, port: port, options: options)) }
    if actions.check {
      let check = ServerCheck(host: host, port: port, options: options)
      let text = "ok      settings        \(settings?.summary ?? "the command line")\n" + check.text
      StandardStreams.write(text, to: 1)
      throw ExitCode(StandardStreams.exitCode(check.isOK ? ServerProgram.ExitCode.ok : 1, of: "rpc-server"))
    }
    let code = ServerProgram.run(host: host, port: port, options: options) {
      guard let running = settings else { return .unchanged }
      do {
        let fresh = try ServerSettings.load(words, parsed: self)
        try fresh.command.checkTogether()
        settings = fresh
        return .changed(fresh.command.options, waiting: fresh.waiting(since: running))
      } catch {
        return .refused(Self.message(for: error))
      }
    }
    throw ExitCode(code)
  }

  /// What the library is told.
  var options: ServerOptions {
    var options = ServerOptions()
    options.dataDirectory = dataDirectory
    options.deployersFile = deployers ?? DefaultFiles.deployers
    options.loops = loops
    options.tls = tls.options
    options.isolation = Isolation(rawValue: isolation.rawValue) ?? .standard
    options.allowedPaths = allowPath
    options.secretsDirectory = secrets
    options.credentialsDirectory = ServiceVariables.directory("CREDENTIALS_DIRECTORY")
    options.interpreterFolders = interpreters
    options.installTimeoutMilliseconds = installTimeout
    options.allowsSourceBuilds = allowSourceBuilds
    limits.apply(to: &options)
    http.apply(to: &options)
    for bound in procedures.bounds + python.bounds + lua.bounds {
      options.procedures[keyPath: bound.limit] = bound.value
    }
    options.log = log.options
    return options
  }

  /// Where to keep what is assigned, where nobody said it too.
  var dataDirectory: String { data ?? DefaultFiles.dataDirectory(host: host ?? "", port: port ?? 0) }

  static func main() {
    StandardDescriptors.openMissing()
    do {
      var command = try parseAsRoot()
      try command.run()
    } catch {
      if let code = error as? ExitCode { Glibc.exit(code.rawValue) }
      if error is SettingErrors || error is SettingError {
        StandardStreams.write("\(error)\n", to: 2)
        Glibc.exit(ServerProgram.ExitCode.usage)
      }
      StandardStreams.end(
        saying: fullMessage(for: error), isHelp: exitCode(for: error) == .success, of: "rpc-server")
    }
  }
}
