import ArgumentParser
import RPCClient
import RPCDeployment
import RPCSystem

/// Gives the servers what a file says.
struct ApplyCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "apply",
    abstract: "Give the servers what the file says (without a command, this is done).",
    discussion: """
      Only sources that a server lacks are sent. Every server loads what it is sent before any of them switches, \
      and all switch together: if one cannot be reached or refuses, none is changed.
      """)

  @Argument(help: "The file that names servers, clients, services and procedures.", completion: .file())
  var file = InitFile.defaultPath

  @Flag(
    name: [.customShort("n"), .long],
    help: "Have every server load what it lacks, undo it, and say what would be changed.")
  var dryRun = false

  @Flag(
    name: .long,
    help:
      "Deploy also to servers that are up to date, were changed meanwhile or are locked by another deployment."
  )
  var force = false

  @Option(
    name: .shortAndLong,
    help: ArgumentHelp("Why this is deployed: it is signed and kept with the deployment.", valueName: "text"))
  var message: String?

  @OptionGroup var shared: SharedOptions

  @Flag(
    name: .long, help: ArgumentHelp("Print NAME HOST PORT of each server, for scripts.", visibility: .hidden))
  var listServers = false

  func validate() throws {
    guard let message else { return }
    guard message.utf8.count <= DeploymentLimits.messageBytesMax else {
      throw ValidationError(
        "--message has \(message.utf8.count) bytes, the limit is \(DeploymentLimits.messageBytesMax)")
    }
    guard
      message.unicodeScalars.allSatisfy({ $0 == "\n" || $0.properties.generalCategory != .control })
    else { throw ValidationError("--message has control characters") }
  }

  func run() async throws {
    let commands = InitializerCommand.configuration.subcommands.map { $0._commandName }
    if let explanation = MistypedCommand.explanation(of: file, commands: commands) {
      throw InputError(message: explanation)
    }
    if listServers { throw ExitCode(Self.listServers(of: file).rawValue) }
    var options = try shared.options(file: file)
    options.mode = dryRun ? .rehearse : .apply
    options.force = force
    options.message = message
    options.progress = { StandardStreams.write($0, to: 2) }
    let initializer = Initializer(options: options)
    let work = Task {
      await initializer.run(
        output: { StandardStreams.write($0, to: 1) }, errors: { StandardStreams.write($0, to: 2) })
    }
    Interrupt.onFirst { work.cancel() }
    throw ExitCode(await work.value.rawValue)
  }

  /// What `Scripts/servers` needs of a file; the machine may not have the sources.
  private static func listServers(of file: String) -> Initializer.Exit {
    do throws(InitFileErrors) {
      let servers = try InitFile.load(file, checkingSources: false).network.servers
      StandardStreams.write(servers.map { "\($0.name) \($0.host) \($0.port)\n" }.joined(), to: 1)
      return .done
    } catch {
      StandardStreams.write(error.description + "\n", to: 2)
      return .wrongInput
    }
  }
}
