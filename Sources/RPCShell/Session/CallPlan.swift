import RPCClient
import RPCProcedures
import RPCWire

/// A call line understood: what will be sent to whom.
struct CallPlan: Hashable, Sendable {
  enum Target: Hashable, Sendable {
    /// Any provider: the client library chooses.
    case any
    case one(String)
    /// Fan-out.
    case several([String])
  }

  var request: CallRequest
  var target: Target
  /// The overload, where there was a choice.
  var overload: Signature?
  /// What was wrong with the arguments by the catalogue known here, when the server shall judge nevertheless.
  var doubt: Issue?

  var procedure: String { request.procedure }
}

extension CallPlan {
  /// What a call line names, before its arguments are looked at.
  struct Head: Hashable, Sendable {
    var name: ProcedureName
    var nameSpan: Range<Int>
    var target: Target
    /// Whose catalogues tell the signatures, nil for everybody's.
    var catalogues: [String]?
    var overloads: [Procedure]
  }

  static func head(_ words: BoundWords, _ snapshot: NetworkSnapshot) throws(CommandFailure) -> Head {
    guard let word = words.argument("SERVICE.RPC") else { throw .usage("missing SERVICE.RPC") }
    let parsed: ProcedureName?
    do throws(FitError) {
      parsed = try ProcedureName(word.plainText)
    } catch {
      throw .usage(error.message, at: word.span)
    }
    guard var name = parsed else {
      throw .usage("'\(word.plainText)' does not name a procedure: write SERVICE.RPC", at: word.span)
    }
    var target = try target(words, snapshot, service: name.service)
    var catalogues: [String]?
    switch target {
    case .one(let server): catalogues = [server]
    case .several(let servers): catalogues = servers
    case .any: break
    }
    var overloads = snapshot.overloads(of: name, on: catalogues)
    if overloads.isEmpty, catalogues != nil, words.word("SERVERS") == nil {
      // The current server does not have it: another that does may answer.
      let elsewhere = snapshot.overloads(of: name, on: nil)
      if !elsewhere.isEmpty {
        overloads = elsewhere
        target = .any
        catalogues = nil
      }
    }
    if name.service == nil {
      let services = Set(overloads.map(\.signature.service)).sorted()
      switch services.count {
      case 1: name.service = services[0]
      case 0:
        let known = snapshot.procedures(on: catalogues).map(\.signature.name)
        throw .usage(
          "no service has a procedure '\(name.name)'"
            + Suggestion.text(for: name.name, among: Set(known).sorted()),
          at: word.span)
      default:
        throw .usage(
          "'\(name.name)' is in \(services.joined(separator: " and ")): write \(services[0]).\(name.name)",
          at: word.span)
      }
    }
    // Which providers '*' stands for is known with the service.
    if words.word("SERVERS") == "*" {
      target = try self.target(words, snapshot, service: name.service)
      if case .several(let servers) = target { catalogues = servers }
    }
    return Head(
      name: name, nameSpan: word.span, target: target, catalogues: catalogues, overloads: overloads)
  }

  private static func target(
    _ words: BoundWords, _ snapshot: NetworkSnapshot, service: String?
  ) throws(CommandFailure) -> Target {
    guard let text = words.word("SERVERS") else {
      guard let current = snapshot.currentServer else { return .any }
      // A service that the current server does not provide goes to one that does.
      if let service, let providers = snapshot.topology.service(service)?.providers,
        !providers.contains(current)
      {
        return .any
      }
      return .one(current)
    }
    if text == "*" {
      let all = service.map { snapshot.providers(of: $0) } ?? []
      return .several(all.isEmpty ? snapshot.serverNames : all)
    }
    var names: [String] = []
    for name in text.split(separator: ",").map(String.init) where !names.contains(name) { names.append(name) }
    guard !names.isEmpty else {
      throw .usage("no server is named in '\(text)'", at: words.argument("SERVERS")?.span)
    }
    return names.count == 1 && !text.contains(",") ? .one(names[0]) : .several(names)
  }

  /// The whole plan. The arguments must have been loaded.
  ///
  /// Where the catalogue known here takes none of the arguments, the plan is made all the same, with the types
  /// that the values have by themselves: the server has the last word, and its error names every signature.
  static func make(
    _ head: Head, _ arguments: [Argument], _ settings: Settings
  ) throws(CommandFailure) -> CallPlan {
    let procedure = head.name.qualified
    var plan = CallPlan(
      request: CallRequest(procedure, deadline: settings.timeout, retry: settings.retry), target: head.target)
    plan.request.metadata = settings.metadata
    if case .one(let server) = head.target { plan.request.server = server }
    if !head.overloads.isEmpty {
      do throws(OverloadResolver.Failure) {
        let choice = try OverloadResolver.choose(arguments, among: head.overloads)
        plan.request.arguments = choice.values
        plan.request.types = choice.procedure.signature.parameterTypes
        if !choice.isObvious { plan.overload = choice.procedure.signature }
        return plan
      } catch {
        switch error {
        case .ambiguous(let procedures):
          let forms = procedures.map { "\($0.signature)" }.joined(separator: "\n  ")
          throw .usage(
            "these values fit several overloads equally well:\n  \(forms)", at: head.nameSpan,
            hint: "quote what is text, or name the types: \(procedures[0].signature.overloadName) …")
        case .none(_, let issue): plan.doubt = issue
        }
      }
    }
    if let named = arguments.first(where: { $0.name != nil }) {
      throw .usage(
        plan.doubt?.message ?? "'\(procedure)' is not known here, so its arguments have no names",
        at: plan.doubt?.span ?? named.span)
    }
    for argument in arguments {
      do throws(FitError) {
        plan.request.arguments.append(try argument.literal.natural())
      } catch {
        throw .usage(error.message, at: error.span)
      }
    }
    if let overload = head.name.overload { plan.request.types = overload }
    return plan
  }
}

extension Signature {
  /// `text.concat(int, str)`: how a line names exactly this overload.
  var overloadName: String { qualifiedName + typesText }

  /// `(int, str)`.
  var typesText: String { "(\(parameterTypes.map(\.description).joined(separator: ", ")))" }
}
