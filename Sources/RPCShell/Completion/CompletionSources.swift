import RPCClient
import RPCProcedures
import RPCWire

/// Candidates that several commands and slots share.
enum CompletionSources {
  static func servers(_ context: CompletionContext) -> [Candidate] {
    context.snapshot.topology.servers.map { server in
      let state = context.snapshot.states[server.name].map(stateText) ?? ""
      return Candidate(server.name, "\(server.host):\(server.port)\(state)")
    }
  }

  private static func stateText(_ state: ServerState) -> String {
    switch state {
    case .up: "  up"
    case .down: "  down"
    case .idle, .connecting: ""
    }
  }

  /// Procedures that the servers named before provide, each overload on a line of its own.
  static func procedures(_ context: CompletionContext) -> [Candidate] {
    let servers = servers(named: context)
    let isSystem = context.partial.hasPrefix("s")
    let known =
      isSystem ? context.snapshot.procedures(on: servers) : context.snapshot.listedProcedures(on: servers)
    // By name; overloads stay in the order in which they were declared.
    let names = known.map(\.signature).enumerated()
      .sorted { ($0.element.qualifiedName, $0.offset) < ($1.element.qualifiedName, $1.offset) }.map(\.element)
    // With the types begun, the overloads themselves are the candidates.
    if context.partial.contains("(") {
      return names.map { Candidate($0.overloadName, $0.returnsText) }
    }
    if !context.partial.contains("."), names.count > 12 {
      // Many: services first, then what is in them.
      var services: [Candidate] = []
      for service in names.map(\.service) where services.last?.text != service + "." {
        if !services.contains(where: { $0.text == service + "." }) {
          let count = Set(names.filter { $0.service == service }.map(\.name)).count
          services.append(
            Candidate(service + ".", English.count(count, "procedure"), whole: false))
        }
      }
      let bare = names.filter { !context.partial.isEmpty && $0.name.hasPrefix(context.partial) }
      return services + bare.map { Candidate($0.qualifiedName, $0.tail) }
    }
    return names.map { Candidate($0.qualifiedName, $0.tail) }
  }

  /// The servers a line has named so far, the current one, or nil for any.
  static func servers(named context: CompletionContext) -> [String]? {
    if let text = context.words.word("SERVERS") ?? context.words.word("SERVER") {
      return text == "*" ? nil : text.split(separator: ",").map(String.init)
    }
    return nil
  }
}

extension Signature {
  /// What stands behind the name: `(a: int) -> int`.
  var tail: String { "(\(parameters.map(\.description).joined(separator: ", "))) -> \(returnsText)" }
}
