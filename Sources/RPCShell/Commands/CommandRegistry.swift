import CLibEdit

/// All commands, found by the records that their files leave in the program: see `CommandRegistration`.
enum CommandRegistry {
  /// In the order of `help`: by group, then by name.
  static let all: [any Command.Type] = {
    var found: [any Command.Type] = []
    withUnsafeMutablePointer(to: &found) { list in
      rpc_shell_each_command(
        { list, record in
          // A record is what `CommandRegistration` says; nothing else is put into that section.
          unsafeBitCast(record, to: CommandRegistration.self)(list)
        }, list)
    }
    let order = CommandGroup.allCases
    return found.sorted { left, right in
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

/// What a command's file puts into the section `rpc_commands`, so that the command is found without a list:
///
///     @section("rpc_commands") @used
///     private let registration: CommandRegistration = { register(PingCommand.self, $0) }
typealias CommandRegistration = @convention(c) (UnsafeMutableRawPointer?) -> Void

func register(_ command: any Command.Type, _ list: UnsafeMutableRawPointer?) {
  list?.assumingMemoryBound(to: [any Command.Type].self).pointee.append(command)
}
