internal import RPCWire

extension Settings {
  /// All that is in force and where it is from, as a file that says the same.
  ///
  /// - Parameter computed: what the program makes of keys that nobody set and that the help has no default for.
  package func text(title: String, computed: [String: String] = [:]) -> String {
    var lines: [(line: String, comment: String)] = [("# \(title)", "")]
    var section: String?
    for key in table.keys {
      if key.section != section {
        section = key.section
        lines.append(("", ""))
        lines.append(("# \(section ?? "General")", ""))
      }
      if let setting = self[key.name] {
        lines.append(("\(key.name): \(Self.shown(setting))", setting.origin.description))
      } else if let value = computed[key.name] ?? key.fallback {
        lines.append(("\(key.name): \(Self.scalar(value))", "default"))
      } else {
        lines.append(key.kind == .flag ? ("\(key.name): false", "default") : ("# \(key.name):", "not set"))
      }
    }
    let width = min(48, lines.filter { !$0.comment.isEmpty }.map(\.line.count).max() ?? 0)
    return lines.map { line, comment in
      guard !comment.isEmpty else { return line + "\n" }
      return line + String(repeating: " ", count: max(0, width - line.count)) + "  # \(comment)\n"
    }.joined()
  }

  private static func shown(_ setting: Setting) -> String {
    switch setting.key.kind {
    case .list: "[\(setting.values.map(scalar).joined(separator: ", "))]"
    case .flag: setting.values.first ?? ""
    case .value: scalar(setting.values.first ?? "")
    }
  }

  /// A value as YAML: JSON's quotes are YAML's too.
  private static func scalar(_ text: String) -> String {
    let isPlain =
      text.first.map { $0.isLetter || $0.isNumber || $0 == "/" } ?? false
      && text.utf8.allSatisfy { byte in
        (0x30...0x39).contains(byte) || (0x41...0x5a).contains(byte) || (0x61...0x7a).contains(byte)
          || "/._-+@".utf8.contains(byte)
      } && !["true", "false", "null", "yes", "no", "on", "off"].contains(text.lowercased())
    guard !isPlain else { return text }
    var quoted = ByteQueue()
    quoted.appendJSON(string: text)
    return String(decoding: quoted.copy(), as: UTF8.self)
  }
}
