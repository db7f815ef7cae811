import ArgumentParser
import RPCDeployment
import RPCProcedures
import RPCShell
import RPCSystem

/// Runs one procedure of a file here, without a server.
struct TryCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "try",
    abstract: "Run a procedure of the file on this machine as a server would, without one.",
    usage: "initializer try [--file FILE] [--json] … SERVICE.NAME [ARG] …",
    discussion: """
      Arguments are written as in the shell: 32, hello, true, None, [1, 2], {"k": 1}, @file, name=value; what a Unix \
      shell passes as one word is one argument. Types, timeout, memory and isolation are the file's; the overload is \
      the one that a server would call. Calls of other procedures of the same service are run too, those of others are \
      refused. What the procedure prints goes to standard error.

      Exit codes: 0 it returned, 1 it could not be loaded or failed, 2 the command line, the file or the arguments are \
      wrong and nothing was run, 130 interrupted.
      """)

  @OptionGroup var file: FileOption

  @Flag(help: "Print the result, or the error, as one object.")
  var json = false

  @Option(
    help: ArgumentHelp("The longest it may run: 5, 500ms, 2m (default: 30 seconds).", valueName: "time"))
  var timeout: String?

  enum IsolationLevel: String, ExpressibleByArgument, CaseIterable {
    case none
    case standard = "default"
    case required
  }

  @Option(help: "How far its process is confined at least, as the server's flag of that name.")
  var isolation = IsolationLevel.standard

  @Option(
    help: ArgumentHelp("What services may name in 'read' and 'write'; may be repeated.", valueName: "path"))
  var allowPath: [String] = []

  @Option(help: ArgumentHelp("A folder (mode 0700) with a file (0600) for each secret.", valueName: "dir"))
  var secrets: String?

  @Option(
    help: ArgumentHelp(
      "A folder with interpreters of Python, or pyenv's with its versions; may be repeated.", valueName: "dir"
    ),
    completion: .directory)
  var interpreters: [String] = []

  @Flag(help: "Let requirements be built from source, which runs code of the packages.")
  var allowSourceBuilds = false

  @Argument(help: ArgumentHelp("The procedure: SERVICE.NAME.", valueName: "service.name"))
  var procedure: String

  @Argument(parsing: .allUnrecognized, help: ArgumentHelp("Its arguments.", valueName: "arg"))
  var arguments: [String] = []

  func validate() throws {
    if let path = allowPath.first(where: { !$0.hasPrefix("/") }) {
      throw ValidationError("--allow-path takes whole paths, not '\(path)'")
    }
    if let problem = interpreters.lazy.compactMap(WholePath.problem(ofFolder:)).first {
      throw ValidationError("--interpreters \(problem)")
    }
  }

  func run() async throws {
    var options = Trial.Options()
    options.file = file.file
    options.procedure = procedure
    options.arguments = arguments
    options.isJSON = json
    options.isColored = StandardStreams.showsColors
    options.timeout = timeout
    options.isolation = Isolation(rawValue: isolation.rawValue) ?? .standard
    options.allowedPaths = allowPath
    options.secretsDirectory = secrets
    options.interpreterFolders = interpreters
    options.allowsSourceBuilds = allowSourceBuilds
    let trial = Trial(options: options)
    let work = Task {
      await trial.run(
        output: { StandardStreams.write($0, to: 1) }, errors: { StandardStreams.write($0, to: 2) })
    }
    Interrupt.onFirst { work.cancel() }
    throw ExitCode(await work.value.rawValue)
  }
}
