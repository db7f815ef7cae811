enum SetCommand: Command {
  static let name = "set"
  static let group = CommandGroup.session
  static let summary = "show or change a setting: timeout, output, …"
  static let grammar = Grammar(
    .init("SETTING", .choice(Setting.all.map(\.name)), .optional), .init("VALUE", .text, .optional))
  static let examples = [
    CommandExample("set", "all settings"),
    CommandExample("set timeout 5s", "give up calls after five seconds"),
    CommandExample("set output json", "results as JSON"),
  ]

  static func complete(_ slot: Grammar.Slot, _ context: CompletionContext) -> [Candidate]? {
    switch slot.label {
    case "SETTING": Setting.all.map { Candidate($0.name, $0.help) }
    default: context.words.word("SETTING").flatMap { Setting.named($0) }?.choices.map { Candidate($0) } ?? []
    }
  }

  static func run(_ input: CommandInput, in session: ShellSession) async throws(CommandFailure) {
    guard let argument = input.words.argument("SETTING") else {
      let settings = session.settings
      var table = Table([.init("setting"), .init("value"), .init("meaning")])
      for setting in Setting.all {
        table.rows.append([
          .init(setting.name, role: .name), .init(setting.read(settings)), .init(setting.help, role: .dim),
        ])
      }
      input.output.emit(.table(table))
      return
    }
    guard let setting = Setting.named(argument.plainText) else { return }
    guard let value = input.words.argument("VALUE") else {
      input.output.emit(.text(setting.read(session.settings)))
      return
    }
    var wanted: String?
    session.update { wanted = setting.write(&$0, value.plainText) }
    if let wanted { throw .usage("\(setting.name) is \(wanted), not '\(value.plainText)'", at: value.span) }
    session.settingsChanged()
  }
}
