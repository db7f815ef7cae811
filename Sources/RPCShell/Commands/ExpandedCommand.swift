enum ExpandedCommand: Command {
  static let name = "expanded"
  static let aliases = ["\\x"]
  static let group = CommandGroup.session
  static let summary = "show tables as records, one line per column"
  static let grammar = Grammar(
    .init("on|off|auto", .choice(ExpandedLayout.allCases.map(\.rawValue)), .optional))
  static let details = """
    Without a word it switches between on and off. 'auto', from the start, shows a table as records where its rows \
    do not fit the terminal. The same as 'set expanded'.
    """
  static let examples = [
    CommandExample("\\x", "switch"), CommandExample("expanded auto", "only where rows do not fit"),
  ]

  static func run(_ input: CommandInput, in session: ShellSession) async throws(CommandFailure) {
    let chosen = input.words.word("on|off|auto").flatMap { ExpandedLayout(rawValue: $0) }
    session.update { settings in
      settings.expanded = chosen ?? (settings.expanded == .on ? .off : .on)
    }
    session.settingsChanged()
    input.output.emit(.note("tables as records: \(session.settings.expanded.rawValue)"))
  }
}
