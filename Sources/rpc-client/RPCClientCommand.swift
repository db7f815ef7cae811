import ArgumentParser
import Glibc
import RPCArguments
import RPCShell
import RPCSystem
import Synchronization

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

  @Argument(help: "A script to run, after every -c and -f; - is standard input.", completion: .file())
  var script: String?

  @Option(help: "The file that names servers, clients and services.", completion: .file())
  var config = Shell.Options().config

  @Option(
    name: .customLong("as"), help: "The client to call as, by its name in the file.",
    completion: .custom { words, _, _ in Shell.Completions.clients(words) })
  var identity: String?

  @Option(
    help: ArgumentHelp(
      "The private key to prove, where servers know clients by keys (default: $RPC_KEY).",
      valueName: "file"),
    completion: .file())
  var key: String?

  @OptionGroup var certificateOptions: CertificateOptions

  @Option(
    name: [.customShort("c"), .long], help: "Run this command. -c and -f run in the order given.",
    completion: .custom { words, index, _ in Shell.Completions.commands(words, at: index) },
    transform: Ordered.init)
  var command: [Ordered] = []

  @Option(
    name: [.customShort("f"), .long], help: "Run this script; - is standard input.", completion: .file(),
    transform: Ordered.init)
  var file: [Ordered] = []

  @Flag(name: [.customShort("e"), .long], help: "Stop at the first command that fails.")
  var exitOnError = false

  @Flag(name: .shortAndLong, help: "No banner and no notes.")
  var quiet = false

  @Flag(name: [.customShort("X"), .long], help: "Do not read the startup file rpcrc.")
  var noRC = false

  @Option(
    name: .shortAndLong,
    help: ArgumentHelp("How long a call may take: 5, 500ms, 2m (default: 30 seconds).", valueName: "time"))
  var timeout: String?

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

  /// The value of an option, with its place among those of all options: the parser keeps each option's values apart.
  struct Ordered {
    var place: Int
    var text: String
    private static let count = Atomic(0)

    init(_ text: String) {
      self.text = text
      place = Self.count.add(1, ordering: .relaxed).newValue
    }
  }

  private var steps: [Shell.Options.Step] {
    let ordered =
      command.map { ($0.place, Shell.Options.Step.command($0.text)) }
      + file.map { ($0.place, .script($0.text)) }
    return ordered.sorted { $0.0 < $1.0 }.map(\.1) + (script.map { [.script($0)] } ?? [])
  }

  func run() throws {
    var options = Shell.Options()
    options.config = config
    options.identity = identity
    options.key = key
    options.certificate = certificateOptions.files
    options.steps = steps
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
      if let code = error as? ExitCode { Glibc.exit(code.rawValue) }
      StandardStreams.end(
        saying: fullMessage(for: error), isHelp: exitCode(for: error) == .success, of: "rpc-client")
    }
  }
}
