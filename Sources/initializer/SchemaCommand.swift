import ArgumentParser
import RPCDeployment
import RPCSystem

/// Prints what editors check and complete a file by.
struct SchemaCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "schema",
    abstract: "Print the JSON Schema of init.yaml, by which editors complete and check it.",
    discussion: """
      It says what may stand where; 'initializer --dry-run' checks all that it cannot say. A file names its schema \
      in its first line: # yaml-language-server: $schema=init.schema.json
      """)

  func run() throws {
    StandardStreams.write(InitFileSchema.text, to: 1)
  }
}
