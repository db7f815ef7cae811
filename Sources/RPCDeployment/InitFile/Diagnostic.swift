internal import RPCWire

/// One thing that is wrong with a file: where, what was found and, where a name was nearly right, which.
public struct Diagnostic: Error, Hashable, Sendable {
  /// As the file was named by the caller.
  public var file: String
  /// From 1; 0 where the whole file is meant.
  public var line: Int
  /// From 1, in characters as an editor counts them; 0 where the whole file is meant.
  public var column: Int
  public var message: String
  /// The known name that is nearest to the one found.
  public var suggestion: String?

  public init(file: String, line: Int, column: Int, message: String, suggestion: String? = nil) {
    self.file = file
    self.line = line
    self.column = column
    self.message = message
    self.suggestion = suggestion
  }
}

extension Diagnostic: CustomStringConvertible {
  /// `init.yaml:14:20: message (did you mean 's2'?)`, which editors and terminals make a link of.
  public var description: String {
    let place = line > 0 ? "\(file):\(line):\(column)" : file
    let hint = suggestion.map { " (did you mean '\($0)'?)" } ?? ""
    return "\(place): \(message)\(hint)"
  }
}

/// Everything that is wrong with a file, in the order of the file.
public struct InitFileErrors: Error, Sendable, Hashable {
  public var diagnostics: [Diagnostic]
  /// Errors beyond `DeploymentLimits.diagnosticsMax`, which are only counted.
  public var omitted: Int

  public init(_ diagnostics: [Diagnostic], omitted: Int = 0) {
    self.diagnostics = diagnostics
    self.omitted = omitted
  }
}

extension InitFileErrors: CustomStringConvertible {
  /// A line each.
  public var description: String {
    var lines = diagnostics.map(\.description)
    if omitted > 0 { lines.append("and \(English.count(omitted, "more error"))") }
    return lines.joined(separator: "\n")
  }
}
