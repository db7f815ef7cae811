import RPCDeployment
import RPCProcedures
import RPCWire

/// What is shown behind the cursor while someone types: what comes next, or what is wrong already.
struct Hint: Hashable, Sendable {
  var text: String
  var isError: Bool

  static func says(_ text: String) -> Hint { Hint(text: text, isError: false) }
  static func wrong(_ text: String) -> Hint { Hint(text: text.firstLine, isError: true) }

  /// - Parameter text: the whole line; the cursor is at its end.
  static func hint(_ text: String, _ snapshot: NetworkSnapshot) -> Hint? {
    guard text.contains(where: { !$0.isWhitespace }) else { return nil }
    let partial = PartialLine(text, snapshot)
    let line = partial.line
    if line.shell != nil || line.pipe != nil || line.background != nil { return nil }
    if let issue = line.issues.first(where: { !$0.mayGoOn || $0.span.upperBound < text.utf8.count }) {
      return .wrong(issue.message)
    }
    guard let command = partial.command else { return unknown(partial, snapshot) }
    guard let bound = partial.bound(snapshot) else { return nil }
    if let issue = bound.issues.first(where: { !$0.mayGoOn }), bound.openFlag == nil {
      return .wrong(issue.message)
    }
    if let flag = bound.openFlag { return partial.partial.isEmpty ? .says(flag.value?.label ?? "") : nil }
    let isCall = command.grammar.slots.contains { $0.kind == .arguments }
    if isCall, bound.argument("SERVICE.RPC") != nil { return call(partial, bound, snapshot) }
    if isCall, let hint = procedureBeingTyped(partial, bound, snapshot) { return hint }
    return usage(partial, bound, snapshot)
  }

  private static func unknown(_ partial: PartialLine, _ snapshot: NetworkSnapshot) -> Hint? {
    guard let first = partial.words.first else {
      // The first word is being typed: nothing is wrong while something begins like that.
      return firstWord(partial, snapshot)
    }
    guard first.name == nil, case .bare(let name) = first.literal.kind, BareText.number(name) == nil else {
      return nil
    }
    let known = CommandRegistry.names + snapshot.procedures(on: nil).map(\.signature.qualifiedName)
    return .wrong("unknown command" + Suggestion.text(for: name, among: known))
  }

  private static func firstWord(_ partial: PartialLine, _ snapshot: NetworkSnapshot) -> Hint? {
    guard !partial.partial.isEmpty else { return nil }
    if let command = CommandRegistry.command(partial.partial) {
      let usage = command.grammar.usage
      return usage.isEmpty ? nil : .says(" " + usage)
    }
    let overloads =
      (try? ProcedureName(partial.partial)).flatMap { $0 }.map { snapshot.overloads(of: $0, on: nil) } ?? []
    if overloads.isEmpty, partial.partial.hasSuffix(")"),
      var name = (try? ProcedureName(partial.partial)).flatMap({ $0 }), name.overload != nil
    {
      let wanted = name
      name.overload = nil
      guard !snapshot.overloads(of: name, on: nil).isEmpty else { return nil }
      return .wrong("  " + missing(wanted, on: nil, [], snapshot))
    }
    return overloads.isEmpty ? nil : signatures(overloads, [], leading: " ")
  }

  /// `call math.ad`: the signature as soon as the name is whole.
  private static func procedureBeingTyped(
    _ partial: PartialLine, _ bound: BoundWords, _ snapshot: NetworkSnapshot
  ) -> Hint? {
    guard !partial.partial.isEmpty, let name = (try? ProcedureName(partial.partial)).flatMap({ $0 }) else {
      return nil
    }
    let context = CompletionContext(snapshot: snapshot, words: bound, partial: partial.partial)
    let servers = CompletionSources.servers(named: context)
    let overloads = snapshot.overloads(of: name, on: servers)
    if !overloads.isEmpty { return signatures(overloads, [], leading: " ") }
    guard name.service != nil else { return nil }
    // A whole name that nobody has, and that nothing begins with.
    let names = snapshot.procedures(on: servers).map(\.signature.qualifiedName)
    guard !names.isEmpty, !names.contains(where: { $0.hasPrefix(partial.partial) }) else { return nil }
    return .wrong("  " + missing(name, on: servers, names, snapshot))
  }

  /// That nobody has a procedure of this name: who else does, or what was meant.
  private static func missing(
    _ name: ProcedureName, on servers: [String]?, _ known: [String], _ snapshot: NetworkSnapshot
  ) -> String {
    let place = servers.map { " on \($0.joined(separator: ", "))" } ?? ""
    // The name is right and the types are not: these are the ones there are.
    var anyTypes = name
    anyTypes.overload = nil
    let overloads = name.overload == nil ? [] : snapshot.overloads(of: anyTypes, on: servers)
    if !overloads.isEmpty {
      return "no such overload\(place): there \(overloads.count == 1 ? "is" : "are") "
        + Suggestion.list(overloads.map(\.signature.typesText))
    }
    let elsewhere = snapshot.serverNames.filter { server in
      snapshot.procedures(on: server).contains { name.matches($0.signature) }
    }
    if !elsewhere.isEmpty { return "no such procedure\(place), but on \(elsewhere.joined(separator: ", "))" }
    return "no such procedure\(place)" + Suggestion.text(for: name.qualified, among: known)
  }

  // MARK: Calls

  private static func call(_ partial: PartialLine, _ bound: BoundWords, _ snapshot: NetworkSnapshot) -> Hint?
  {
    let head: CallPlan.Head
    do throws(CommandFailure) {
      head = try CallPlan.head(bound, snapshot)
    } catch {
      return .wrong(error.message)
    }
    if head.overloads.isEmpty {
      let names = snapshot.procedures(on: head.catalogues).map(\.signature.qualifiedName)
      guard !names.isEmpty, head.name.service != SystemContract.service else { return nil }
      return .wrong(missing(head.name, on: head.catalogues, names, snapshot))
    }
    let given = bound.all("ARG")
    // The word being typed is an argument like the others, but not yet held against anybody.
    var all = given
    if !partial.partial.isEmpty || partial.partialName != nil, let last = partial.line.words.last {
      all.append(last)
    }
    let (arguments, issue) = ArgumentLoader.preview(all, snapshot.variables)
    if let issue { return all.count > given.count ? nil : .wrong(issue.message) }
    let typing = all.count > given.count ? arguments.last : nil
    let open = partial.line.open.isEmpty ? typing : nil
    let possible = head.overloads.filter { overload in takes(overload.signature, arguments, typing: typing) }
    if possible.isEmpty {
      if !partial.line.open.isEmpty { return nil }
      guard
        case .failure(let failure) = Result(catching: { () throws(OverloadResolver.Failure) in
          try OverloadResolver.choose(arguments, among: head.overloads)
        }), let issue = failure.issue
      else { return nil }
      return .wrong((open == nil ? "" : "  ") + issue.message)
    }
    guard partial.line.open.isEmpty else { return nil }
    return signatures(possible, arguments, leading: typing == nil ? "" : " ")
  }

  /// Whether an overload may still be the one: every argument fits, the one being typed could come to fit.
  private static func takes(_ signature: Signature, _ arguments: [Argument], typing: Argument?) -> Bool {
    guard case .success(let match) = ArgumentMatch.match(arguments, to: signature) else {
      guard let typing, typing.name == nil, case .bare(let text) = typing.literal.kind, text.isIdentifier
      else { return false }
      // `data` may be on its way to `data=`.
      return signature.parameters.contains { $0.name?.hasPrefix(text) ?? false }
    }
    for (parameter, position) in zip(signature.parameters, match.positions) {
      guard let position else { continue }
      let argument = arguments[position]
      if (try? argument.literal.fit(parameter.type)) != nil { continue }
      guard argument == typing, case .bare(let text) = argument.literal.kind else { return false }
      let isName =
        signature.parameters.contains { $0.name?.hasPrefix(text) ?? false } && argument.name == nil
        && !text.isEmpty
      guard isName || BareText.couldBecome(parameter.type, text) || text.hasPrefix("_") else { return false }
    }
    return true
  }

  /// What is still to come, for each overload: `b: int → int`.
  private static func signatures(_ overloads: [Procedure], _ arguments: [Argument], leading: String) -> Hint?
  {
    var texts: [String] = []
    for overload in overloads {
      let signature = overload.signature
      guard case .success(let match) = ArgumentMatch.match(arguments, to: signature) else { continue }
      let rest = match.missing.map { signature.parameters[$0].description }.joined(separator: "  ")
      let text = rest + (rest.isEmpty ? "" : "  ") + "→ \(signature.returnsText)"
      if !texts.contains(text) { texts.append(text) }
    }
    guard !texts.isEmpty else { return nil }
    let shown = texts.prefix(3).joined(separator: "  |  ")
    return .says(leading + shown + (texts.count > 3 ? "  |  …" : ""))
  }

  // MARK: Other commands

  private static func usage(_ partial: PartialLine, _ bound: BoundWords, _ snapshot: NetworkSnapshot)
    -> Hint?
  {
    guard partial.partial.isEmpty else { return nil }
    return bound.next.isEmpty ? nil : .says(bound.next.map(\.usage).joined(separator: " "))
  }
}
