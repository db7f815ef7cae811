import RPCWire

enum JobsCommand: Command {
  static let name = "jobs"
  static let group = CommandGroup.scripting
  static let summary = "list what runs in the background"
  static let grammar = Grammar()
  static let examples = [CommandExample("jobs", "running and ended")]

  static func run(_ input: CommandInput, in session: ShellSession) async throws(CommandFailure) {
    var table = Table(
      [
        .init("job", right: true), .init("state"), .init("time", key: "time_us", right: true),
        .init("command", widthMax: 200),
      ], empty: "no jobs")
    for job in session.change({ $0.jobs.jobs }) {
      let time = (job.ended ?? .now) - job.started
      let role: TextRole =
        switch job.status {
        case .running: .warning
        case .done: .good
        case .failed, .cancelled: .bad
        }
      table.rows.append([
        .init("\(job.number)", .int(Int64(job.number))), .init("\(job.status)", role: role),
        .init(Quantity.duration(time), .int(time.nanoseconds / 1000)), .init(job.text),
      ])
    }
    input.output.emit(.table(table))
  }
}
