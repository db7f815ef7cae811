import ArgumentParser
import RPCDeployment
import RPCSystem

/// Writes the services of a file as .proto files, for programs that are made from those.
struct ProtoCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "proto",
    abstract: "Write the services of the file as .proto files, for clients made by protoc.",
    discussion: """
      Servers need none of them, nor do clients that ask a server by reflection. Each service gets two files: \
      SERVICE.proto with its methods, and SERVICE_types.proto with their messages.
      """)

  @Argument(help: "The directory to write them into; it is made where there is none.", completion: .directory)
  var directory: String

  @Option(help: "The file that declares the procedures.", completion: .file())
  var file = InitFile.defaultPath

  func run() throws {
    do {
      let written = try ProtoFolder.write(try InitFile.load(file, checkingSources: false), to: directory)
      StandardStreams.write(written.map { $0 + "\n" }.joined(), to: 1)
    } catch let errors as InitFileErrors {
      throw InputError(message: errors.description)
    } catch let error as ProtoFolder.Failure {
      StandardStreams.write("initializer: \(error.description)\n", to: 2)
      throw ExitCode(Initializer.Exit.failed.rawValue)
    }
  }
}
