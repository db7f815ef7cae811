import ArgumentParser
import Glibc
import RPCClient
import RPCDeployment
import RPCKeys
import RPCTransport

/// Parses the command line and runs `Initializer`.
@main
struct InitializerCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "initializer",
    abstract: "Distributes the procedures of an init.yaml to its servers.",
    discussion: """
      Reads the file and checks it completely, then gives each server exactly the procedures of the services \
      that it provides. Only sources that a server lacks are sent. All servers switch together: if one cannot \
      be reached or refuses, none is changed.

      'initializer key' prints the key that deployments are made with: its file, its public half, its fingerprint. \
      A file of that name is given as './key'.

      Exit codes: 0 all servers have what the file says, 1 a server was missed or refused, 2 the command line \
      or the file is wrong.
      """,
    version: Release.version)

  @Argument(help: "The file that names servers, clients, services and procedures.", completion: .file())
  var file = InitFile.defaultPath

  @Flag(name: [.customShort("n"), .long], help: "Only tell what would be changed.")
  var dryRun = false

  @Option(
    name: .long, parsing: .upToNextOption, help: "Deploy to these servers alone, by their names in the file.")
  var server: [String] = []

  @Option(name: .shortAndLong, help: "human or json: lines for people, or one object for programs.")
  var output: Output = .human

  @Option(name: .long, help: "auto, always or never. NO_COLOR is respected.")
  var color: Color = .auto

  @Flag(name: .long, help: "Deploy also to servers that are up to date, or were changed meanwhile.")
  var force = false

  @Option(name: .long, help: "Seconds that one step on one server may take.")
  var timeout: Double = 30

  @Option(
    help: ArgumentHelp(
      "The private key to deploy with (default: $RPC_KEY, else one of your own, which is made at first use).",
      valueName: "file"),
    completion: .file())
  var key: String?

  @Flag(
    name: .long, help: ArgumentHelp("Print NAME HOST PORT of each server, for scripts.", visibility: .hidden))
  var listServers = false

  enum Output: String, ExpressibleByArgument, CaseIterable { case human, json }
  enum Color: String, ExpressibleByArgument, CaseIterable { case auto, always, never }

  func validate() throws {
    guard timeout >= 0.1, timeout <= 86_400 else {
      throw ValidationError("--timeout must be from 0.1 to 86400 seconds, not \(timeout)")
    }
  }

  func run() async throws {
    if file == KeyWord.name { throw ExitCode(KeyWord.run(named: key).rawValue) }
    if listServers { throw ExitCode(Self.listServers(of: file).rawValue) }
    var options = Initializer.Options()
    options.file = file
    options.dryRun = dryRun
    options.force = force
    options.servers = server
    options.output = output == .json ? .json : .human
    options.timeout = .milliseconds(Int(timeout * 1000))
    do throws(KeyError) {
      options.key = try DeployKey.chosen(key).key
    } catch {
      Terminal.write("initializer: \(error)\n", to: 2)
      throw ExitCode(Initializer.Exit.wrongInput.rawValue)
    }
    switch color {
    case .always: options.isColored = true
    case .never: options.isColored = false
    case .auto: options.isColored = Terminal.showsColors
    }
    let initializer = Initializer(options: options)
    let work = Task {
      await initializer.run(output: { Terminal.write($0, to: 1) }, errors: { Terminal.write($0, to: 2) })
    }
    Interrupt.onFirst { work.cancel() }
    let exit = await work.value
    throw ExitCode(exit.rawValue)
  }

  /// What `Scripts/servers` needs of a file; the machine may not have the sources.
  private static func listServers(of file: String) -> Initializer.Exit {
    do throws(InitFileErrors) {
      let servers = try InitFile.load(file, checkingSources: false).network.servers
      Terminal.write(servers.map { "\($0.name) \($0.host) \($0.port)\n" }.joined(), to: 1)
      return .done
    } catch {
      Terminal.write(error.description + "\n", to: 2)
      return .wrongInput
    }
  }

  /// Usage errors end with 2, as configuration errors do, not with the parser's own 64.
  static func main() async {
    StandardDescriptors.openMissing()
    do {
      var command = try parseAsRoot()
      if var asynchronous = command as? any AsyncParsableCommand {
        try await asynchronous.run()
      } else {
        try command.run()
      }
    } catch {
      let code = exitCode(for: error)
      guard code == .validationFailure || code.rawValue == EX_USAGE else { exit(withError: error) }
      Terminal.write(fullMessage(for: error) + "\n", to: 2)
      Glibc.exit(Initializer.Exit.wrongInput.rawValue)
    }
  }
}
