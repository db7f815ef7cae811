import RPCClient
import RPCProcedures
import RPCWire

enum WhyCommand: Command {
  static let name = "why"
  static let group = CommandGroup.looking
  static let summary = "explain the last failure: where, how long, whether it ran, what to do"
  static let grammar = Grammar()
  static let details = """
    Shows what was sent, whether the procedure was executed, the line of its source that raised, how the servers \
    are now, and what would be right.
    """
  static let examples = [CommandExample("why", "after something failed")]

  static func run(_ input: CommandInput, in session: ShellSession) async throws(CommandFailure) {
    let history = session.change { $0.history }
    if let usage = history.lastUsage {
      var fields: [Fields.Field] = [
        .init("what", usage.message), .init("executed", "no: the line was not understood"),
      ]
      if let hint = usage.hint { fields.append(.init("try", hint)) }
      input.output.emit(.fields(Fields("The line was wrong", fields, titleRole: .bad)))
      return
    }
    guard let failure = history.lastFailure else {
      input.output.emit(.text("Nothing has failed yet."))
      return
    }
    let fields = await explain(failure, session)
    input.output.emit(
      .fields(
        Fields("\(failure.request.procedure): \(failure.error.exception.rawValue)", fields, titleRole: .bad)))
    if let excerpt = await source(of: failure, session) { input.output.emit(.text(excerpt)) }
  }

  private static func explain(_ failure: CallHistory.Failure, _ session: ShellSession) async -> [Fields.Field]
  {
    let error = failure.error
    let snapshot = session.snapshot
    var fields: [Fields.Field] = [.init("message", error.message)]
    if let server = error.server ?? failure.request.server { fields.append(.init("server", server)) }
    let types = failure.request.types.map { "(" + $0.map(\.description).joined(separator: ", ") + ")" }
    let arguments = failure.request.arguments.map { ValueText.excerpt($0, width: 60) }.joined(
      separator: " ")
    fields.append(
      .init("called with", (types.map { $0 + "  " } ?? "") + (arguments.isEmpty ? "no arguments" : arguments))
    )
    fields.append(.init("took", time(failure), .int(failure.elapsed.nanoseconds / 1000), key: "took_us"))
    if let place = whereTheTimeWent(failure, snapshot) { fields.append(.init("of which", place)) }
    fields.append(.init("executed", executed(error), .string("\(error.executed)")))
    fields.append(.init("status", "\(error.code.rawValue) (\(error.code))", .int(Int64(error.code.rawValue))))
    if let source = error.source { fields.append(.init("raised at", source)) }
    if let actual = error.actual, let limit = error.limit {
      let unit = error.unit.map { " " + $0.rawValue } ?? ""
      fields.append(.init("limit", "\(actual)\(unit) where \(limit) is the limit", .map(error.bound)))
    }
    let service = String(failure.request.procedure.prefix { $0 != "." })
    let servers = failure.servers.isEmpty ? snapshot.providers(of: service) : failure.servers
    for server in servers { fields.append(state(of: server, snapshot)) }
    fields += advice(failure, service, snapshot).map { .init("try", $0) }
    return fields
  }

  private static func time(_ failure: CallHistory.Failure) -> String {
    var text = Quantity.duration(failure.elapsed)
    if let deadline = failure.request.deadline {
      text += " of the \(Quantity.duration(deadline)) it was given"
    }
    return text
  }

  /// What the client can tell: how long the way takes, so that the rest was the server's.
  private static func whereTheTimeWent(_ failure: CallHistory.Failure, _ snapshot: NetworkSnapshot)
    -> String?
  {
    guard failure.error.exception != .unavailable else {
      return "all of it connecting, or waiting to connect again"
    }
    let trips = failure.servers.compactMap { server -> Duration? in
      if case .up(_, let roundTrip?) = snapshot.states[server] { roundTrip } else { nil }
    }
    guard let trip = trips.max(), failure.servers.count == 1 else { return nil }
    let rest = failure.elapsed - trip
    guard rest > trip else { return "most of it the way there and back, about \(Quantity.duration(trip))" }
    let what = failure.error.executed == .no ? "before the server refused it" : "at the server"
    return "about \(Quantity.duration(trip)) the way there and back, \(Quantity.duration(rest)) \(what)"
  }

  private static func executed(_ error: RPCError) -> String {
    switch error.executed {
    case .no: "no: repeating is safe"
    case .maybe: "maybe: whether repeating is safe depends on the procedure"
    case .yes: "yes"
    }
  }

  private static func state(of server: String, _ snapshot: NetworkSnapshot) -> Fields.Field {
    switch snapshot.states[server] ?? .idle {
    case .up(let generation, let roundTrip):
      let trip = roundTrip.map { ", round trip \(Quantity.duration($0))" } ?? ""
      return .init(server, "up now, generation \(generation)\(trip)", role: .good)
    case .down(let error):
      return .init(server, "down: \(error.beside(snapshot.topology.server(server)).message)", role: .bad)
    case .idle, .connecting: return .init(server, "not connected")
    }
  }

  /// What would be right, by what is known of the network.
  private static func advice(_ failure: CallHistory.Failure, _ service: String, _ snapshot: NetworkSnapshot)
    -> [String]
  {
    let error = failure.error
    let procedure = failure.request.procedure
    switch error.exception {
    case .serviceNotFound:
      let providers = snapshot.providers(of: service)
      if !providers.isEmpty {
        return [
          "call \(providers[0]) \(procedure) …: \(Suggestion.list(providers)) \(providers.count == 1 ? "provides" : "provide") '\(service)'"
        ]
      }
      return Spelling.nearest(to: service, in: snapshot.serviceNames).map { ["the service '\($0)'"] } ?? [
        "services"
      ]
    case .rpcNotFound:
      let names = snapshot.procedures(on: nil).map(\.signature.qualifiedName)
      return Spelling.nearest(to: procedure, in: names).map { ["call \($0) …"] } ?? ["procedures"]
    case .invalidArguments:
      guard let name = try? ProcedureName(procedure) else { return [] }
      return snapshot.overloads(of: name, on: nil).map { "\($0.signature)" }
    case .clientNotRegistered:
      let tenants = snapshot.topology.service(service)?.tenants ?? []
      return tenants.isEmpty ? [] : [Suggestion.list(tenants.map { "as \($0)" }, "or")]
    case .deadlineExceeded: return ["set timeout 2m, or call -t 2m \(procedure) …"]
    case .unavailable: return ["servers"]
    case .executionException: return ["source \(procedure)"]
    default:
      return error.retryAfterMilliseconds.map { ["again in \(Quantity.duration(.milliseconds($0)))"] } ?? []
    }
  }

  /// The lines of the deployed source around the one that raised.
  private static func source(of failure: CallHistory.Failure, _ session: ShellSession) async -> String? {
    guard let location = failure.error.source, let colon = location.lastIndex(of: ":"),
      let number = Int(location[location.index(after: colon)...]),
      let name = try? ProcedureName(failure.request.procedure)
    else { return nil }
    let snapshot = session.snapshotWithoutStates
    let overloads = snapshot.overloads(of: name, on: nil)
    guard
      let procedure = overloads.first(where: { $0.signature.parameterTypes == failure.request.types })
        ?? overloads.first
    else { return nil }
    let servers =
      failure.servers.isEmpty ? snapshot.providers(of: procedure.signature.service) : failure.servers
    for server in servers {
      guard let text = try? await session.backend.source(of: procedure.signature, on: server) else {
        continue
      }
      let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
      guard lines.indices.contains(number - 1) else { return nil }
      return (max(1, number - 2)...min(lines.count, number + 2)).map { line in
        (line == number ? "→ " : "  ") + TextWidth.padded("\(line)", to: 4, right: true)
          + "  \(lines[line - 1])"
      }.joined(separator: "\n")
    }
    return nil
  }
}
