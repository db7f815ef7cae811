package import RPCDeployment
internal import RPCProcedures

/// The file of a program's settings: one YAML map whose keys are the program's flags.
///
/// It is read by the reader of init.yaml: others that compose YAML for a configuration library keep no places, and an
/// error without its line sends people searching.
package struct SettingFile: Sendable {
  package private(set) var settings: [Setting] = []
  package private(set) var errors: [Diagnostic] = []
  private let path: String
  private let table: SettingTable

  /// Reads a file and finds all that is wrong with it but the values, which the program knows.
  package init(_ path: String, table: SettingTable) {
    self.init(
      path, table: table, content: SourceFile.readBytes(path, limit: DeploymentLimits.initFileBytesMax))
  }

  /// Reads a text as if it stood in the file `path`.
  package init(_ path: String, table: SettingTable, text: String) {
    self.init(path, table: table, content: .success(Array(text.utf8)))
  }

  private init(_ path: String, table: SettingTable, content: Result<[UInt8], SourceFile.Reason>) {
    self.path = path
    self.table = table
    switch content {
    case .failure(let reason):
      errors.append(Diagnostic(file: path, line: 0, column: 0, message: reason.message))
    case .success(let bytes): read(bytes)
    }
  }

  private mutating func read(_ bytes: [UInt8]) {
    let root: YamlNode?
    do throws(YamlReader.Failure) {
      let document = try YamlReader.read(bytes)
      for problem in document.problems { report(problem.place, problem.message) }
      root = document.root
    } catch {
      return report(error.place, error.message)
    }
    // A file in which all is commented out sets nothing.
    guard let root, !root.isNull else { return }
    guard case .map(let pairs) = root.content else {
      return report(root.place, "the file must be a map such as 'port: 8181', found \(root.kind)")
    }
    var seen: [String: Place] = [:]
    for (key, value) in pairs {
      guard let name = key.text else {
        report(key.place, "a key must be a name, found \(key.kind)")
        continue
      }
      guard let known = table.key(named: name) else {
        let nearest = Spelling.nearest(to: name.replacing("_", with: "-"), in: table.keys.map(\.name))
        report(key.place, "unknown key '\(name.prefix(64))'", suggestion: nearest)
        continue
      }
      if let first = seen.updateValue(key.place, forKey: name) {
        report(key.place, "'\(name)' is set twice; the first is at line \(first.line)")
        continue
      }
      if let values = values(value, of: known) {
        settings.append(Setting(known, values, from: .file(path, value.place)))
      }
    }
  }

  /// The text of each value; nil where one is not of its kind, which is reported.
  private mutating func values(_ node: YamlNode, of key: SettingKey) -> [String]? {
    if node.isNull {
      report(node.place, "'\(key.name)' is empty: write a value, or leave the key out")
      return nil
    }
    switch (key.kind, node.content) {
    case (.flag, .scalar(let text)) where node.isPlain:
      switch text {
      case "true", "True", "TRUE": return ["true"]
      case "false", "False", "FALSE": return ["false"]
      default: break
      }
    case (.value, .scalar(let text)), (.list, .scalar(let text)): return [whole(text, of: key)]
    case (.list, .list(let items)):
      var values: [String] = []
      for item in items {
        guard let text = item.text, !item.isNull else {
          report(item.place, "'\(key.name)' must hold single values, found \(item.kind)")
          return nil
        }
        values.append(whole(text, of: key))
      }
      return values
    default: break
    }
    let wanted =
      switch key.kind {
      case .flag: "true or false"
      case .value: "a single value"
      case .list: "a value or a list of values"
      }
    report(node.place, "'\(key.name)' must be \(wanted), found \(node.kind)")
    return nil
  }

  /// Paths start from where the file is, whatever directory the program was started in.
  private func whole(_ text: String, of key: SettingKey) -> String {
    guard key.isPath, !text.isEmpty, !text.hasPrefix("/"), let slash = path.lastIndex(of: "/") else {
      return text
    }
    return path[...slash] + text
  }

  /// Notes what the program finds wrong with a value.
  package mutating func report(_ setting: Setting, _ message: String) {
    if case .file(_, let place) = setting.origin { report(place, message) }
  }

  private mutating func report(_ place: Place, _ message: String, suggestion: String? = nil) {
    guard errors.count < DeploymentLimits.diagnosticsMax else { return }
    errors.append(
      Diagnostic(
        file: path, line: place.line, column: place.column, message: message, suggestion: suggestion))
  }
}
