/// What the words of a command line set, once the parser has found them right.
package struct CommandLineSettings: Sendable {
  package private(set) var settings: [Setting] = []

  package init(_ words: [String], table: SettingTable) {
    var values: [String: [String]] = [:]
    var positionals: [String] = []
    var rest = words[...]
    var isOver = false
    while let word = rest.popFirst() {
      guard !isOver, word.hasPrefix("--") else {
        positionals.append(word)
        continue
      }
      if word == "--" {
        isOver = true
        continue
      }
      let parts = word.dropFirst(2).split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      let name = String(parts.first ?? "")
      if name == SettingTable.fileFlag, parts.count == 1 { _ = rest.popFirst() }
      if name.hasPrefix("no-"), let key = table.key(named: String(name.dropFirst(3))), key.hasOpposite {
        values[key.name] = ["false"]
        continue
      }
      guard let key = table.key(named: name) else { continue }
      switch key.kind {
      case .flag: values[name] = ["true"]
      case .value, .list:
        guard let value = parts.count > 1 ? String(parts[1]) : rest.popFirst() else { continue }
        values[name] = (key.kind == .list ? values[name] ?? [] : []) + [value]
      }
    }
    for key in table.keys {
      if let position = key.position {
        guard position < positionals.count else { continue }
        settings.append(Setting(key, [positionals[position]], from: .commandLine))
      } else if let found = values[key.name] {
        settings.append(Setting(key, found, from: .commandLine))
      }
    }
  }
}
