internal import RPCWire

/// All that a program can be told, as the parser of its command line describes it: a flag that is added there has its key
/// and its variable too.
package struct SettingTable: Sendable {
  package let program: String
  package let keys: [SettingKey]

  /// What asks for something else than a run: such flags have no key.
  package static let actions = "Instead of serving"
  /// The flag that names the file.
  package static let fileFlag = "config"

  package init(program: String, keys: [SettingKey]) {
    self.program = program
    self.keys = keys
  }

  /// - Parameter description: what `--experimental-dump-help` prints.
  /// - Throws: `SettingError` where it is not understood.
  package init(program: String, description: String) throws(SettingError) {
    self.program = program
    guard let json = try? Value(json: description), let arguments = json["command"]?["arguments"]?.listValue
    else { throw SettingError(message: "the description of \(program)'s flags is not understood") }
    var keys: [SettingKey] = []
    var position = 0
    for argument in arguments {
      guard var key = Self.key(argument) else { continue }
      if argument["kind"]?.stringValue == "positional" {
        key.position = position
        position += 1
      }
      if key.section != Self.actions, ![Self.fileFlag, "help", "version"].contains(key.name) {
        keys.append(key)
      }
    }
    self.keys = keys
  }

  private static func key(_ argument: Value) -> SettingKey? {
    let kind = argument["kind"]?.stringValue
    let names = (argument["names"]?.listValue ?? []).filter { $0["kind"]?.stringValue == "long" }
      .compactMap { $0["name"]?.stringValue }
    let name = kind == "positional" ? argument["valueName"]?.stringValue : names.first
    guard let name else { return nil }
    let isList = argument["isRepeating"]?.boolValue == true
    var key = SettingKey(name: name, kind: kind == "flag" ? .flag : isList ? .list : .value)
    let completion = argument["completionKind"]
    key.isPath = completion?["file"] != nil || completion?["directory"] != nil
    key.hasOpposite = names.contains("no-" + name)
    key.fallback = argument["defaultValue"]?.stringValue
    key.section = argument["sectionTitle"]?.stringValue
    return key
  }

  package func key(named name: String) -> SettingKey? { keys.first { $0.name == name } }

  /// The variable that names the file.
  package var fileVariable: String { SettingKey(name: Self.fileFlag, kind: .value).variable(of: program) }
}
