package import RPCDeployment

/// What one key is set to, and who set it.
package struct Setting: Hashable, Sendable {
  package var key: SettingKey
  /// One for a value or a flag, any number for a list.
  package var values: [String]
  package var origin: Origin

  package enum Origin: Hashable, Sendable {
    case file(String, Place)
    case variable(String)
    case commandLine

    package var description: String {
      switch self {
      case .file(let file, let place): "\(file):\(place.line):\(place.column)"
      case .variable(let name): name
      case .commandLine: "the command line"
      }
    }
  }

  package init(_ key: SettingKey, _ values: [String], from origin: Origin) {
    self.key = key
    self.values = values
    self.origin = origin
  }

  /// The words of a command line that say the same.
  package var arguments: [String] {
    switch key.kind {
    case .flag:
      if values == ["true"] { return ["--\(key.name)"] }
      return key.hasOpposite ? ["--no-\(key.name)"] : []
    case .value where key.position != nil: return values
    case .value, .list: return values.map { "--\(key.name)=\($0)" }
    }
  }
}

/// What is wrong with what a program was told.
package struct SettingError: Error, Hashable, CustomStringConvertible {
  package var message: String

  package init(message: String) { self.message = message }

  package var description: String { message }
}

/// Everything that is wrong with it, a line each.
package struct SettingErrors: Error, Hashable, CustomStringConvertible {
  package var lines: [String]

  package init(_ lines: [String]) { self.lines = lines }

  package var description: String { lines.joined(separator: "\n") }
}
