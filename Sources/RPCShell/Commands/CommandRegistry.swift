/// All commands. A new one is a file with a type that conforms to `Command`, and a line here.
enum CommandRegistry {
  /// In the order of `help`: by group, then by name.
  static let all: [any Command.Type] = {
    let commands: [any Command.Type] = [
      ApplyCommand.self,
      AsCommand.self,
      BenchCommand.self,
      CallCommand.self,
      CancelCommand.self,
      DescribeCommand.self,
      DriftCommand.self,
      ExpandedCommand.self,
      HelpCommand.self,
      JobsCommand.self,
      PingCommand.self,
      PlanCommand.self,
      ProceduresCommand.self,
      QuitCommand.self,
      RecordCommand.self,
      RepeatCommand.self,
      ReplayCommand.self,
      ServersCommand.self,
      ServicesCommand.self,
      SetCommand.self,
      SourceCommand.self,
      StatsCommand.self,
      TimeCommand.self,
      UseCommand.self,
      VarsCommand.self,
      WaitCommand.self,
      WatchCommand.self,
      WhyCommand.self,
    ]
    let order = CommandGroup.allCases
    return commands.sorted { left, right in
      let (a, b) = (order.firstIndex(of: left.group) ?? 0, order.firstIndex(of: right.group) ?? 0)
      return (a, left.name) < (b, right.name)
    }
  }()

  private static let index: [String: any Command.Type] = {
    var index: [String: any Command.Type] = [:]
    for command in all {
      for name in [command.name] + command.aliases {
        precondition(index.updateValue(command, forKey: name) == nil, "two commands are named '\(name)'")
      }
    }
    return index
  }()

  static func command(_ name: String) -> (any Command.Type)? { index[name] }

  static var names: [String] { all.map { $0.name } }
}
