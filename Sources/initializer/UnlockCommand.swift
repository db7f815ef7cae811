import ArgumentParser
import RPCDeployment
import RPCSystem

/// Ends deployments that are under way.
struct UnlockCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "unlock",
    abstract: "End the deployments that are under way, and say whose they were.",
    discussion: """
      A deployment that is ended changes nothing. A lock ends by itself with its deployment, with its connection, \
      or after 30 seconds of silence.
      """)

  @OptionGroup var file: FileOption
  @OptionGroup var shared: SharedOptions

  func run() async throws {
    let initializer = Initializer(options: try shared.options(file: file.file))
    let exit = await initializer.unlock(
      output: { StandardStreams.write($0, to: 1) }, errors: { StandardStreams.write($0, to: 2) })
    throw ExitCode(exit.rawValue)
  }
}
