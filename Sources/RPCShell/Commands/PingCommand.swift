import RPCClient
import RPCWire

enum PingCommand: Command {
  static let name = "ping"
  static let group = CommandGroup.measuring
  static let summary = "measure the round trip to a server, or to all"
  static let grammar = Grammar(
    flags: [.init("-n", value: .init("COUNT", .count), help: "how many times (4)")],
    .init("SERVERS", .servers, .optional))
  static let examples = [
    CommandExample("ping", "every server"), CommandExample("ping -n 100 s1", "a hundred times"),
  ]

  static func run(_ input: CommandInput, in session: ShellSession) async throws(CommandFailure) {
    let snapshot = session.snapshotWithoutStates
    let text = input.words.word("SERVERS") ?? "*"
    let servers = text == "*" ? snapshot.serverNames : text.split(separator: ",").map(String.init)
    let count = input.words.flag("-n").flatMap { Int($0.plainText) } ?? 4
    let backend = session.backend
    var table = Table([
      .init("server"), .init("answers", right: true),
      .init("fastest", key: "fastest_us", right: true), .init("median", key: "median_us", right: true),
      .init("slowest", key: "slowest_us", right: true), .init("reason", widthMax: 200),
    ])
    var failed = false
    for server in servers {
      var trips: [Duration] = []
      var failure: RPCError?
      for round in 0..<count {
        if Task.isCancelled { throw .interrupted }
        do throws(RPCError) {
          trips.append(try await backend.ping(server, within: ShellLimits.pingWait))
          session.noteAnswer(of: server)
          if count > 10 { input.output.progress("\(server): \(round + 1) of \(count)") }
        } catch {
          failure = error.beside(session.backend.topology.server(server))
          session.noteSilence(of: server, error)
          break
        }
      }
      input.output.progress(nil)
      trips.sort()
      failed = failed || failure != nil
      func cell(_ duration: Duration?) -> Table.Cell {
        duration.map { .init(Quantity.duration($0), .int($0.nanoseconds / 1000)) }
          ?? .init("–", .null, role: .dim)
      }
      table.rows.append([
        .init(server, role: .name),
        .init("\(trips.count)/\(count)", .int(Int64(trips.count)), role: failure == nil ? .good : .bad),
        cell(trips.first),
        cell(trips.isEmpty ? nil : trips[trips.count / 2]), cell(trips.last),
        .init(failure?.message ?? "", failure.map { .string($0.message) } ?? .null, role: .bad),
      ])
    }
    if !failed {
      table.columns.removeLast()
      for index in table.rows.indices { table.rows[index].removeLast() }
    }
    input.output.emit(.table(table))
    if failed { throw .told }
  }
}
