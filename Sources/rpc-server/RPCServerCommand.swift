import ArgumentParser
import Glibc
import RPCServer
import RPCSystem
import RPCTransport

/// `rpc-server IP PORT`: the daemon that runs on every node.
@main
struct RPCServerCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "rpc-server",
    abstract: "Serves the procedures that an initializer assigns to this node.",
    discussion: """
      What was assigned is kept in the data directory, so a server that is started again serves it without \
      being told. SIGTERM drains and stops, a second one stops at once, SIGHUP opens the log file again and \
      reads the certificates and the deployers' keys again.

      Exit codes: 0 stopped as told, 1 the address cannot be served, 2 wrong arguments, 3 the data directory, \
      the log file, the server's own key, its certificate or the deployers' keys cannot be used.
      """,
    version: "rpc-server \(Server.version)")

  @Argument(help: "IPv4 or IPv6 address, or host name, to listen on.")
  var host: String

  @Argument(help: "TCP port to listen on; 0 takes a free one and prints it.")
  var port: Int

  @Option(
    help:
      "Where to keep what is assigned (default: $STATE_DIRECTORY, else $XDG_STATE_HOME/simplerpc/HOST-PORT).")
  var data: String?

  @Option(
    help: ArgumentHelp(
      "A file with the public keys of those who may deploy (default: $CONFIGURATION_DIRECTORY/deployers, else the "
        + "deploy key of the same user).",
      valueName: "file"))
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

  @Option(help: "Event loops, each on its own thread; 0 for one per core.")
  var loops = 0

  @Flag(
    help:
      "Print what clients pin of the server's certificate, which is made where there is none yet, and exit.")
  var printPin = false

  @OptionGroup(title: "TLS") var tls: TLSArguments
  @OptionGroup(title: "Limits") var limits: LimitOptions
  @OptionGroup(title: "Procedures, on each loop") var procedures: ProcedureOptions
  @OptionGroup(title: "Python, on each loop") var python: PythonOptions
  @OptionGroup(title: "Lua, on each loop") var lua: LuaOptions
  @OptionGroup(title: "HTTP") var http: HTTPArguments
  @OptionGroup(title: "Log") var log: LogArguments

  func validate() throws {
    guard (0...65_535).contains(port) else {
      throw ValidationError("the port must be 0 to 65535, not \(port)")
    }
    guard (0...1024).contains(loops) else { throw ValidationError("--loops must be 0 to 1024, not \(loops)") }
    if let path = allowPath.first(where: { !$0.hasPrefix("/") }) {
      throw ValidationError("--allow-path takes whole paths, not '\(path)'")
    }
    guard !host.isEmpty else { throw ValidationError("the address to listen on is empty") }
  }

  func run() throws {
    var options = ServerOptions()
    options.dataDirectory = data ?? DefaultFiles.dataDirectory(host: host, port: port)
    options.deployersFile = deployers ?? DefaultFiles.deployers
    options.loops = loops
    options.tls = tls.options
    if printPin { throw ExitCode(ServerProgram.printPins(host: host, port: port, options: options)) }
    options.isolation = Isolation(rawValue: isolation.rawValue) ?? .standard
    options.allowedPaths = allowPath
    limits.apply(to: &options)
    http.apply(to: &options)
    for bound in procedures.bounds + python.bounds + lua.bounds {
      options.procedures[keyPath: bound.limit] = bound.value
    }
    options.log = log.options
    throw ExitCode(ServerProgram.run(host: host, port: port, options: options))
  }

  static func main() {
    StandardDescriptors.openMissing()
    do {
      var command = try parseAsRoot()
      try command.run()
    } catch {
      let code = exitCode(for: error)
      if error is ExitCode { Glibc.exit(code.rawValue) }
      // The parser's own code for wrong arguments is sysexits' 64; ours is 2, as that of all our programs.
      let isHelp = code == .success
      StandardStreams.write(fullMessage(for: error) + "\n", to: isHelp ? 1 : 2)
      // Help that went nowhere is not a success.
      Glibc.exit(isHelp ? StandardStreams.exitCode(0, of: "rpc-server") : ServerProgram.ExitCode.usage)
    }
  }
}
