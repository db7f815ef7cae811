enum HelpCommand: Command {
  static let name = "help"
  static let aliases = ["?"]
  static let group = CommandGroup.session
  static let summary = "list the commands, or explain one with examples"
  static let grammar = Grammar(.init("COMMAND", .command, .optional))
  static let examples = [CommandExample("help call", "all about call")]

  static func run(_ input: CommandInput, in session: ShellSession) async throws(CommandFailure) {
    let renderer = input.output.renderer
    let style = renderer.format == .json ? .none : renderer.style
    guard let argument = input.words.argument("COMMAND") else {
      input.output.emit(.page(overview(style)))
      return
    }
    guard let command = CommandRegistry.command(argument.plainText) else {
      throw .usage(
        "unknown command '\(argument.plainText)'"
          + Suggestion.text(for: argument.plainText, among: CommandRegistry.names),
        at: argument.span)
    }
    input.output.emit(
      .page(page(command, style, width: renderer.isInteractive ? min(100, renderer.width) : 100)))
  }

  static func overview(_ style: Style) -> String {
    var out = ""
    let width = CommandRegistry.names.map(\.count).max() ?? 0
    for group in CommandGroup.allCases {
      let commands = CommandRegistry.all.filter { $0.group == group }
      if commands.isEmpty { continue }
      out += style.paint(group.rawValue, .heading) + "\n"
      for command in commands {
        out += "  " + style.paint(TextWidth.padded(command.name, to: width), .name) + "  \(command.summary)\n"
      }
    }
    out += """

      service.rpc ARG…     calls without 'call'        x = …          keeps a result as $x
      … &                  runs in the background      _  $3  $3.key  earlier results
      … | command          pipes the output            … > file       writes it into a file
      !command             runs a program              \\x             tables as records, or as rows
      # or -- starts a comment. 'help COMMAND' tells more, with examples.

      """
    return out
  }

  static func page(_ command: any Command.Type, _ style: Style, width columns: Int) -> String {
    var out = style.paint(command.usage, .heading) + "\n  \(command.summary)\n"
    if !command.aliases.isEmpty { out += "  also: \(command.aliases.joined(separator: ", "))\n" }
    if !command.grammar.flags.isEmpty {
      out += "\n"
      let width = command.grammar.flags.map(\.usage.count).max() ?? 0
      for flag in command.grammar.flags {
        out += "  " + style.paint(TextWidth.padded(flag.usage, to: width), .name) + "  \(flag.help)\n"
      }
    }
    if !command.details.isEmpty {
      let rows = command.details.split(separator: "\n").flatMap {
        TextWidth.wrapped(String($0), to: columns - 2)
      }
      out += "\n" + rows.map { "  \($0)\n" }.joined()
    }
    out += "\n"
    let width = min(40, command.examples.map(\.line.count).max() ?? 0)
    for example in command.examples {
      out += "  " + style.paint(TextWidth.padded(example.line, to: width), .type) + "  \(example.says)\n"
    }
    return out
  }
}
