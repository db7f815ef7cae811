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
    let columns = renderer.isInteractive ? min(100, renderer.width) : 100
    guard let argument = input.words.argument("COMMAND") else {
      input.output.emit(.page(overview(style, width: columns)))
      return
    }
    guard let command = CommandRegistry.command(argument.plainText) else {
      throw .usage(
        "unknown command '\(argument.plainText)'"
          + Suggestion.text(for: argument.plainText, among: CommandRegistry.names),
        at: argument.span)
    }
    input.output.emit(.page(page(command, style, width: columns)))
  }

  static func overview(_ style: Style, width columns: Int) -> String {
    var out = ""
    let width = CommandRegistry.names.map(\.count).max() ?? 0
    for group in CommandGroup.allCases {
      let commands = CommandRegistry.all.filter { $0.group == group }
      if commands.isEmpty { continue }
      out += style.paint(group.rawValue, .heading) + "\n"
      for command in commands {
        out += row(command.name, .name, to: width, command.summary, style, columns)
      }
    }
    out += "\n"
    for (form, meaning) in forms { out += row(form, .type, to: width, meaning, style, columns) }
    return out
      + TextWidth.hanging(
        "# or -- starts a comment. 'help COMMAND' tells more, with examples.", indent: 0, width: columns)
      + "\n"
  }

  /// What may stand in a line besides commands.
  private static let forms = [
    ("x.y ARG…", "calls without 'call'"), ("x = …", "keeps a result as $x"),
    ("_ $3 $3.key", "earlier results"), ("… &", "runs in the background"),
    ("… | command", "pipes the output"), ("… > file", "writes it into a file"),
    ("!command", "runs a program"), ("\\x", "tables as records, or as rows"),
  ]

  /// A name and what it is, below each other where the terminal is narrow.
  private static func row(
    _ name: String, _ role: TextRole, to width: Int, _ text: String, _ style: Style, _ columns: Int
  ) -> String {
    "  " + style.paint(TextWidth.padded(name, to: width), role) + "  "
      + TextWidth.hanging(text, indent: width + 4, width: columns) + "\n"
  }

  static func page(_ command: any Command.Type, _ style: Style, width columns: Int) -> String {
    var out = style.paint(command.usage, .heading) + "\n  \(command.summary)\n"
    if !command.aliases.isEmpty { out += "  also: \(command.aliases.joined(separator: ", "))\n" }
    if !command.grammar.flags.isEmpty {
      out += "\n"
      let width = command.grammar.flags.map(\.usage.count).max() ?? 0
      for flag in command.grammar.flags {
        out += row(flag.usage, .name, to: width, flag.help, style, columns)
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
      out += row(example.line, .type, to: width, example.says, style, columns)
    }
    return out
  }
}
