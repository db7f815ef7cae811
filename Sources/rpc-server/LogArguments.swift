import ArgumentParser
import RPCServer

/// The flags of the log.
struct LogArguments: ParsableArguments {
  enum Level: String, ExpressibleByArgument, CaseIterable {
    case off, error, warning, info, debug
  }

  enum Format: String, ExpressibleByArgument, CaseIterable {
    case human, json
  }

  @Option(help: "What is logged: each level includes those before it.")
  var logLevel = Level.info

  @Option(help: "Lines for people, or one JSON object per line.")
  var logFormat = Format.human

  @Option(
    help: ArgumentHelp("A file that is appended to (default: standard error).", valueName: "file"),
    completion: .file())
  var logFile: String?

  var options: LogOptions {
    LogOptions(
      level: LogOptions.Level(name: logLevel.rawValue) ?? .info,
      format: logFormat == .json ? .json : .human, file: logFile)
  }
}
