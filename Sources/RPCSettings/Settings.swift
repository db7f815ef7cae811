internal import Configuration
internal import RPCDeployment
internal import RPCProcedures

/// What a program was told by its file, the environment and the command line, the later of which wins.
package struct Settings: Sendable {
  package let table: SettingTable
  /// Those that somebody set, in the table's order.
  package private(set) var settings: [Setting] = []
  /// Variables with the program's prefix that mean nothing, with the nearest that does.
  package private(set) var strangers: [String] = []

  /// - Throws: `SettingErrors`, with all that is wrong.
  package init(
    table: SettingTable, file: SettingFile?, environment: [String: String], commandLine: CommandLineSettings
  ) throws(SettingErrors) {
    self.table = table
    if let errors = file?.errors, !errors.isEmpty {
      throw SettingErrors(
        errors.sorted { ($0.line, $0.column) < ($1.line, $1.column) }.map(\.description))
    }
    var known = Dictionary(
      uniqueKeysWithValues: table.keys.map { ($0.variable(of: table.program), $0) })
    // An empty variable is how a shell unsets one for a single command.
    let variables = environment.filter { known[$0.key] != nil && !$0.value.isEmpty }
    let placed = Dictionary(uniqueKeysWithValues: (file?.settings ?? []).map { ($0.key.name, $0) })
    let given = Dictionary(uniqueKeysWithValues: commandLine.settings.map { ($0.key.name, $0) })
    let reader = ConfigReader(providers: [
      InMemoryProvider(name: "command line", values: Self.values(commandLine.settings)),
      EnvironmentVariablesProvider(environmentVariables: variables).prefixKeys(
        with: ConfigKey([table.program])),
      InMemoryProvider(name: "file", values: Self.values(file?.settings ?? [])),
    ])
    var errors: [String] = []
    for key in table.keys {
      let name = ConfigKey([key.name])
      var values =
        key.kind == .list ? reader.stringArray(forKey: name) : reader.string(forKey: name).map { [$0] }
      guard let found = values else { continue }
      let variable = key.variable(of: table.program)
      let isVariable = given[key.name] == nil && variables[variable] != nil
      if isVariable, key.kind == .flag {
        values = Self.truth(found[0]).map { ["\($0)"] }
        if values == nil {
          errors.append(
            "\(table.program): the variable \(variable) must be true or false, not '\(found[0].prefix(64))'")
        }
      }
      let origin: Setting.Origin =
        isVariable ? .variable(variable) : given[key.name]?.origin ?? placed[key.name]?.origin ?? .commandLine
      settings.append(Setting(key, values ?? [], from: origin))
    }
    guard errors.isEmpty else { throw SettingErrors(errors) }
    known[table.fileVariable] = SettingKey(name: SettingTable.fileFlag, kind: .value)
    strangers = Self.strangers(environment, known: Set(known.keys), table)
  }

  private static func values(_ settings: [Setting]) -> [AbsoluteConfigKey: ConfigValue] {
    var values: [AbsoluteConfigKey: ConfigValue] = [:]
    for setting in settings {
      values[AbsoluteConfigKey([setting.key.name])] = ConfigValue(
        setting.key.kind == .list ? .stringArray(setting.values) : .string(setting.values.first ?? ""),
        isSecret: false)
    }
    return values
  }

  private static func truth(_ text: String) -> Bool? {
    switch text.lowercased() {
    case "true", "yes", "1": true
    case "false", "no", "0": false
    default: nil
    }
  }

  /// Not refused: an orchestrator sets such variables for each of its services, one of which may have this name.
  private static func strangers(
    _ environment: [String: String], known: Set<String>, _ table: SettingTable
  ) -> [String] {
    let prefix = String(table.fileVariable.dropLast(SettingTable.fileFlag.count))
    return environment.keys.filter { $0.hasPrefix(prefix) && !known.contains($0) }.sorted().map { name in
      let hint = Spelling.nearest(to: name, in: known.sorted()).map { " (did you mean '\($0)'?)" } ?? ""
      return "the variable \(name) means nothing\(hint)"
    }
  }

  package subscript(name: String) -> Setting? { settings.first { $0.key.name == name } }

  /// A command line that says all of it.
  package var arguments: [String] {
    let positionals = settings.filter { $0.key.position != nil }.flatMap(\.arguments)
    return settings.filter { $0.key.position == nil }.flatMap(\.arguments)
      + (positionals.isEmpty ? [] : ["--"] + positionals)
  }

  /// The keys that are set to something else than before, with what they are set to now; nil for nothing.
  package func changes(since earlier: Settings) -> [(key: SettingKey, now: Setting?)] {
    table.keys.compactMap { key in
      let now = self[key.name]
      return now?.values == earlier[key.name]?.values ? nil : (key, now)
    }
  }
}
