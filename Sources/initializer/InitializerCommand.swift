import ArgumentParser
import Glibc
import RPCClient
import RPCDeployment
import RPCSystem

/// Parses the command line and runs what it names. `initializer FILE` is `initializer apply FILE`.
@main
struct InitializerCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "initializer",
    abstract: "Distributes the procedures of an init.yaml to its servers.",
    usage: """
      initializer [FILE] [--dry-run] [--force] …    the same as: initializer apply [FILE] …
      initializer COMMAND [--file FILE] …
      """,
    discussion: """
      Without a command it deploys: it reads FILE, ./init.yaml by default, and checks it completely, then gives \
      each server exactly the procedures of the services that it provides. 'initializer apply --help' has all \
      options. A file that is named like a command is given with a path, as ./unlock.

      Exit codes: 0 done, 1 a server was missed or refused or the result could not be written, 2 the command line \
      or the file is wrong, 130 interrupted before anything was changed.
      """,
    version: Release.version,
    subcommands: [
      ApplyCommand.self, UnlockCommand.self, KeyCommand.self, ProtoCommand.self, SchemaCommand.self,
      TryCommand.self,
    ],
    defaultSubcommand: ApplyCommand.self)

  /// Usage errors end with 2, as configuration errors do, not with the parser's own 64. What was asked for and cannot
  /// be written is an error too, help and version included.
  static func main() async {
    StandardDescriptors.openMissing()
    do {
      var command = try parseAsRoot()
      if var asynchronous = command as? any AsyncParsableCommand {
        try await asynchronous.run()
      } else {
        try command.run()
      }
      Glibc.exit(StandardStreams.exitCode(Initializer.Exit.done.rawValue, of: "initializer"))
    } catch let exit as ExitCode {
      Glibc.exit(StandardStreams.exitCode(exit.rawValue, of: "initializer"))
    } catch let error as InputError {
      StandardStreams.write("initializer: \(error.message)\n", to: 2)
      Glibc.exit(Initializer.Exit.wrongInput.rawValue)
    } catch {
      let isHelp = exitCode(for: error) == .success
      StandardStreams.write(fullMessage(for: error) + "\n", to: isHelp ? 1 : 2)
      let code = isHelp ? Initializer.Exit.done : Initializer.Exit.wrongInput
      Glibc.exit(StandardStreams.exitCode(code.rawValue, of: "initializer"))
    }
  }
}

/// An option's value that is wrong in itself, such as a key file: nobody needs to be shown how to call the program.
struct InputError: Error {
  var message: String
}
