import ArgumentParser
import RPCServer
import RPCSettings
import RPCSystem

/// What this run was told, by everybody: read at the start, and again at SIGHUP.
struct ServerSettings {
  var settings: Settings
  var command: RPCServerCommand

  /// What a running server takes over at SIGHUP. What else was changed is logged as waiting for a restart.
  static let reloaded: Set = [
    "allow-get", "allow-host", "allow-origin", "deployers", "drain-timeout", "log-file", "log-level",
    "max-connections",
    "tls-certificate", "tls-client-ca", "tls-key",
  ]

  static func table() throws(SettingError) -> SettingTable {
    try SettingTable(program: "rpc-server", description: RPCServerCommand._dumpHelp())
  }

  /// Whether there may be more than the command line.
  static func isNeeded(for command: RPCServerCommand) -> Bool {
    command.config != nil || command.actions.printConfig
      || ProcessEnvironment.variables.keys.contains { $0.hasPrefix("RPC_SERVER_") }
  }

  /// - Parameters:
  ///   - words: the command line, which the parser has found right.
  ///   - parsed: what it made of them.
  /// - Throws: `SettingErrors`, or what the parser says about values that do not go together.
  static func load(_ words: [String], parsed: RPCServerCommand) throws -> ServerSettings {
    let environment = ProcessEnvironment.variables
    let table = try table()
    let path = parsed.config ?? environment[table.fileVariable].flatMap { $0.isEmpty ? nil : $0 }
    var file = path.map { SettingFile($0, table: table) }
    for setting in file?.settings ?? [] {
      if let message = problem(of: setting) { file?.report(setting, message) }
    }
    let settings = try Settings(
      table: table, file: file, environment: environment,
      commandLine: CommandLineSettings(words, table: table))
    let errors = settings.settings.compactMap { setting -> String? in
      guard case .variable(let name) = setting.origin else { return nil }
      return problem(of: setting).map { "rpc-server: the variable \(name): \($0)" }
    }
    guard errors.isEmpty else { throw SettingErrors(errors) }
    guard let command = try RPCServerCommand.parseAsRoot(settings.arguments) as? RPCServerCommand else {
      throw SettingError(message: "the settings cannot be read")
    }
    return ServerSettings(settings: settings, command: command)
  }

  /// What is wrong with one setting by itself, in the parser's words: flags that must go together are looked at once
  /// all are known.
  private static func problem(of setting: Setting) -> String? {
    let key = setting.key
    var words = setting.arguments
    // An argument without a flag is known by its place.
    if let position = key.position {
      words = ["--"] + (0..<position).map { $0 == 0 ? "localhost" : "0" } + words
    }
    do {
      _ = try RPCServerCommand.parse(words)
      return nil
    } catch {
      // A file and a variable have no dashes.
      return RPCServerCommand.message(for: error)
        .replacing(#/'?--([a-z0-9-]+)(?: <[^>]*>)?'?/#) { "'\($0.1)'" }
        .replacing(#/'<([a-z0-9-]+)>'/#) { "'\($0.1)'" }
    }
  }

  /// Who said how much.
  var summary: String {
    var counts: [(who: String, count: Int)] = []
    for setting in settings.settings {
      let who =
        switch setting.origin {
        case .file(let file, _): file
        case .variable: "the environment"
        case .commandLine: "the command line"
        }
      if let index = counts.firstIndex(where: { $0.who == who }) {
        counts[index].count += 1
      } else {
        counts.append((who, 1))
      }
    }
    return counts.map { "\($0.count) from \($0.who)" }.joined(separator: ", ")
  }

  /// As `--print-config` shows it.
  var text: String {
    settings.text(
      title: "rpc-server \(Server.version): what is in force, and where it is from",
      computed: ["data": command.dataDirectory, "deployers": command.options.deployersFile ?? ""].filter {
        !$0.value.isEmpty
      })
  }

  /// What changed for a server that runs with other settings, and cannot be taken over.
  func waiting(since earlier: ServerSettings) -> [String] {
    settings.changes(since: earlier.settings).filter { !Self.reloaded.contains($0.key.name) }.map {
      key, now in
      let value =
        now.map { "\($0.values.joined(separator: ", ")) (\($0.origin.description))" } ?? "not set any more"
      return "'\(key.name)' is now \(value), which takes a restart"
    }
  }
}
