/// One command of the shell. A file declares everything about it: its name, what may follow it, how it is
/// explained, how it is completed and what it does. `CommandRegistry` lists them.
protocol Command: Sendable {
  static var name: String { get }
  static var aliases: [String] { get }
  static var group: CommandGroup { get }
  /// One line, for the list of commands.
  static var summary: String { get }
  static var grammar: Grammar { get }
  /// What `help` says beyond the summary.
  static var details: String { get }
  static var examples: [CommandExample] { get }

  /// Candidates that the grammar cannot tell, for a word of the given slot. Nil: what the grammar says.
  static func complete(_ slot: Grammar.Slot, _ context: CompletionContext) -> [Candidate]?

  static func run(_ input: CommandInput, in session: ShellSession) async throws(CommandFailure)
}

extension Command {
  static var aliases: [String] { [] }
  static var details: String { "" }
  static func complete(_ slot: Grammar.Slot, _ context: CompletionContext) -> [Candidate]? { nil }

  static var usage: String { "\(name) \(grammar.usage)".trimmingSpaces }
}

/// Where `help` lists a command.
enum CommandGroup: String, CaseIterable, Sendable {
  case calling = "Calling"
  case looking = "Looking around"
  case measuring = "Measuring"
  case deploying = "Deploying"
  case scripting = "Scripts and jobs"
  case session = "ShellSession"
}

struct CommandExample: Hashable, Sendable {
  var line: String
  var says: String

  init(_ line: String, _ says: String) {
    self.line = line
    self.says = says
  }
}

/// What a command is given to run.
struct CommandInput: Sendable {
  /// The line, its first word the command's name.
  var line: CommandLine
  var words: BoundWords
  var output: any Output
  /// Where output is shown and questions can be asked: for commands that redraw.
  var isInteractive: Bool { output.isInteractive }

  /// The nested line that starts at the `rest` slot: what `time` and its kind run.
  var nested: CommandLine { line.dropping(1 + (words.restStart ?? 0)) }
}
