import ArgumentParser
import Glibc
import RPCShell
import RPCTransport

/// Parses the command line and runs the shell.
@main
struct RPCClientCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "rpc-client",
    abstract: "The rpc> shell: calls procedures on the servers that an init.yaml names.",
    discussion: """
      On a terminal it opens a prompt. With standard input from elsewhere, with -c or with a script it runs \
      commands: results on standard output, everything else on standard error. 'rpc-client -c help' lists them.

      Exit codes: 0 all went well, 1 a command failed, 2 the command line or the file is wrong, 3 stopped by -e, \
      130 interrupted; a single call with -c that fails ends with 64 + its status code.
      """,
    version: Shell.version)

  @Argument(help: "A script to run; - is standard input.", completion: .file())
  var script: String?

  @Option(help: "The file that names servers, clients and services.", completion: .file())
  var config = Shell.Options().config

  @Option(name: .customLong("as"), help: "The client to call as, by its name in the file.")
  var identity: String?

  @Option(
    help: ArgumentHelp(
      "The private key to prove, where servers know clients by keys (default: $RPC_KEY).",
      valueName: "file"),
    completion: .file())
  var key: String?

  @Option(name: [.customShort("c"), .long], help: "Run this command; may be given several times.")
  var command: [String] = []

  @Option(
    name: [.customShort("f"), .long], help: "Run this script; - is standard input.", completion: .file())
  var file: String?

  @Flag(name: [.customShort("e"), .long], help: "Stop at the first command that fails.")
  var exitOnError = false

  @Flag(name: .shortAndLong, help: "No banner and no notes.")
  var quiet = false

  @Flag(name: [.customShort("X"), .long], help: "Do not read the startup file rpcrc.")
  var noRC = false

  @Option(name: .shortAndLong, help: "Seconds that a call may take (default: 30).")
  var timeout: Double?

  @Option(
    name: .shortAndLong, help: "auto, table, json (one object per line) or raw.",
    completion: .list(["auto", "table", "json", "raw"]))
  var output: String?

  @Flag(help: "The same as -o json.")
  var json = false

  @Option(help: "auto, always or never. NO_COLOR is respected.")
  var color: Color = .auto

  @Option(
    name: [.customShort("H"), .long], help: "KEY:VALUE that goes with every call; may be given several times."
  )
  var metadata: [String] = []

  enum Color: String, ExpressibleByArgument, CaseIterable { case auto, always, never }

  func validate() throws {
    if let timeout, !(timeout >= 0.001 && timeout <= 86_400) {
      throw ValidationError("--timeout must be from 0.001 to 86400 seconds, not \(timeout)")
    }
    if script != nil, file != nil { throw ValidationError("a script is named twice, alone and with --file") }
  }

  func run() throws {
    var options = Shell.Options()
    options.config = config
    options.identity = identity
    options.key = key
    options.commands = command
    options.script = file ?? script
    options.stopsAtFailure = exitOnError
    options.isQuiet = quiet
    options.readsStartupFile = !noRC
    options.timeout = timeout
    options.output = json ? "json" : output
    options.color = Shell.Options.Color(rawValue: color.rawValue) ?? .auto
    options.metadata = metadata
    throw ExitCode(Shell.run(options))
  }

  /// Usage errors end with 2, as configuration errors do, not with the parser's own 64, which a call could mean.
  static func main() {
    StandardDescriptors.openMissing()
    do {
      var command = try parseAsRoot()
      try command.run()
    } catch {
      let code = exitCode(for: error)
      if error is ExitCode { Glibc.exit(code.rawValue) }
      let isHelp = code == .success
      let message = Array((fullMessage(for: error) + "\n").utf8)
      let written = message.withUnsafeBytes { write(isHelp ? 1 : 2, $0.baseAddress, $0.count) }
      // Help that could not be written is no success.
      Glibc.exit(!isHelp ? 2 : written == message.count ? 0 : 1)
    }
  }
}
