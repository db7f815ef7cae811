import RPCProcedures
import RPCWire

/// What can stand where the cursor is. Pure: everything comes from what is known already.
struct Completion: Hashable, Sendable {
  /// Where the text to be replaced starts, in bytes; it ends at the cursor.
  var start: Int
  var candidates: [Candidate]

  static let none = Completion(start: 0, candidates: [])

  /// - Parameter text: what stands before the cursor.
  static func complete(_ text: String, _ snapshot: NetworkSnapshot) -> Completion {
    let partial = PartialLine(text, snapshot)
    if let shell = partial.line.shell ?? partial.line.pipe { return files(at: text, shell) }
    if let open = partial.line.open.last, open.kind == .singleQuote || open.kind == .doubleQuote {
      return quotedFile(text, open)
    }
    if partial.partial.hasPrefix("@") { return file(partial) }
    if !partial.line.open.isEmpty || isInside(partial) { return insideBrackets(text, snapshot) }
    guard let command = partial.command else { return start(partial, snapshot) }
    guard let bound = partial.bound(snapshot) else { return .none }
    let context = CompletionContext(snapshot: snapshot, words: bound, partial: partial.partial)
    var candidates: [Candidate] = []
    if let flag = bound.openFlag, let slot = flag.value {
      candidates = self.candidates(slot, command, context, partial)
    } else if partial.partial.hasPrefix("-"), bound.mayTakeFlag, !command.grammar.flags.isEmpty {
      candidates = command.grammar.flags.flatMap { flag in
        flag.names.map { Candidate($0, flag.value.map { "\($0.label)  " + flag.help } ?? flag.help) }
      }
    } else {
      for slot in bound.next { candidates += self.candidates(slot, command, context, partial) }
    }
    return matching(candidates, partial)
  }

  private static let commands = CommandRegistry.all.map { Candidate($0.name, $0.summary) }
    .sorted { $0.text < $1.text }

  /// A line's first word: commands, procedures, servers, variables.
  private static func start(_ partial: PartialLine, _ snapshot: NetworkSnapshot) -> Completion {
    guard partial.words.isEmpty else { return .none }
    let context = CompletionContext(
      snapshot: snapshot, words: BoundWords([], grammar: Grammar(), snapshot: snapshot, usageOf: ""),
      partial: partial.partial)
    if partial.partial.hasPrefix("$") { return matching(variables(snapshot, nil), partial) }
    var candidates = commands
    if !partial.partial.isEmpty { candidates += CompletionSources.procedures(context) }
    return matching(candidates, partial)
  }

  private static func candidates(
    _ slot: Grammar.Slot, _ command: any Command.Type, _ context: CompletionContext, _ partial: PartialLine
  ) -> [Candidate] {
    if let own = command.complete(slot, context) { return own }
    let snapshot = context.snapshot
    switch slot.kind {
    case .command: return commands
    case .server: return CompletionSources.servers(context)
    case .servers:
      // Behind a comma the next name is completed.
      let comma = context.partial.lastIndex(of: ",").map { context.partial[...$0] } ?? ""
      let taken = comma.split(separator: ",").map(String.init)
      let names = CompletionSources.servers(context).filter { !taken.contains($0.text) }
        .map { Candidate(comma + $0.text, $0.detail) }
      return names + (comma.isEmpty && !names.isEmpty ? [Candidate("*", "every provider")] : [])
    case .service: return snapshot.serviceNames.map { Candidate($0) }
    case .client: return snapshot.clientNames.map { Candidate($0) }
    case .procedure: return CompletionSources.procedures(context)
    case .arguments: return arguments(context, partial)
    case .line:
      return commands + CompletionSources.procedures(context)
    case .file: return FileCandidates.list(context.partial)
    case .job: return snapshot.jobs.map { Candidate("\($0)") }
    case .variable: return snapshot.variables.named.keys.sorted().map { Candidate($0) }
    case .choice(let choices): return choices.map { Candidate($0) }
    case .count, .number, .duration, .text: return []
    }
  }

  // MARK: Arguments

  /// What may stand for the next argument: names, booleans, earlier results of the right type.
  private static func arguments(_ context: CompletionContext, _ partial: PartialLine) -> [Candidate] {
    guard let head = try? CallPlan.head(context.words, context.snapshot) else {
      return variables(context.snapshot, nil)
    }
    let given = context.words.all("ARG")
    var result: [Candidate] = []
    for overload in head.overloads {
      let parameters = overload.signature.parameters
      guard case .success(let match) = ArgumentMatch.match(given, to: overload.signature) else { continue }
      if let name = partial.partialName {
        guard let parameter = parameters.first(where: { $0.name == name }) else { continue }
        result += values(parameter.type, context.snapshot)
        continue
      }
      guard let next = match.missing.first else { continue }
      if !given.contains(where: { $0.name != nil }) {
        result += values(parameters[next].type, context.snapshot)
      }
      for index in match.missing {
        guard let name = parameters[index].name else { continue }
        result.append(Candidate(name + "=", "\(parameters[index].type)", whole: false))
      }
    }
    var seen = Set<String>()
    return result.filter { seen.insert($0.text).inserted }
  }

  private static func values(_ type: ValueType, _ snapshot: NetworkSnapshot) -> [Candidate] {
    switch type {
    case .bool: [Candidate("true"), Candidate("false")] + variables(snapshot, type)
    case .none: [Candidate("None")]
    case .optional(let wrapped): values(wrapped, snapshot) + [Candidate("None")]
    default: variables(snapshot, type)
    }
  }

  /// `_`, `$name` and the last results that fit a type.
  private static func variables(_ snapshot: NetworkSnapshot, _ type: ValueType?) -> [Candidate] {
    func fits(_ value: Value) -> Bool { type.map { $0.accepts(value) } ?? true }
    func shown(_ value: Value) -> String { ValueText.excerpt(value, width: 40) }
    var result: [Candidate] = []
    for (name, value) in snapshot.variables.named.sorted(by: { $0.key < $1.key }) where fits(value) {
      result.append(Candidate("$" + name, shown(value)))
    }
    for number in snapshot.variables.numbers.suffix(10).reversed() {
      guard let value = snapshot.variables.result(number), fits(value) else { continue }
      result.append(Candidate("$\(number)", shown(value)))
    }
    if let last = snapshot.variables.last, fits(last) { result.append(Candidate("_", shown(last))) }
    return result
  }

  // MARK: Files and brackets

  private static func file(_ partial: PartialLine) -> Completion {
    let path = String(partial.partial.dropFirst())
    let candidates = FileCandidates.list(path).map { candidate in
      var candidate = candidate
      candidate.text = "@" + quotedIfNeeded(candidate.text)
      return candidate
    }
    return Completion(start: partial.partialStart, candidates: candidates)
  }

  private static func quotedIfNeeded(_ path: String) -> String {
    path.contains { " \t'\"#".contains($0) } ? ValueText.quoted(path) : path
  }

  /// `@"a fi`: only file names stand in quotes.
  private static func quotedFile(_ text: String, _ open: OpenConstruct) -> Completion {
    let bytes = Array(text.utf8)
    let start = open.span.lowerBound
    guard start < bytes.count, bytes[start] == .at, start + 2 <= bytes.count else { return .none }
    let path = String(decoding: bytes[(start + 2)...], as: UTF8.self)
    let candidates = FileCandidates.list(path).map { candidate in
      Candidate("@" + ValueText.quoted(candidate.text), whole: candidate.isWhole)
    }
    return Completion(start: start, candidates: candidates)
  }

  /// After `!` and `|`: the last word as a file name.
  private static func files(at text: String, _ shell: CommandLine.Piece) -> Completion {
    let word =
      shell.text.isEmpty
      ? "" : text.split(separator: " ", omittingEmptySubsequences: false).last.map(String.init) ?? ""
    let bare = word.hasPrefix("!") || word.hasPrefix("|") ? String(word.dropFirst()) : word
    return Completion(start: text.utf8.count - bare.utf8.count, candidates: FileCandidates.list(bare))
  }

  private static func isInside(_ partial: PartialLine) -> Bool {
    partial.partial.hasPrefix("[") || partial.partial.hasPrefix("{")
  }

  /// Inside a list or dictionary only variables are known.
  private static func insideBrackets(_ text: String, _ snapshot: NetworkSnapshot) -> Completion {
    let word = text.suffix(while: { $0.isLetter || $0.isNumber || $0 == "$" || $0 == "_" })
    guard word.hasPrefix("$") else { return .none }
    let candidates = variables(snapshot, nil).filter { $0.text.hasPrefix(word) }.map { candidate in
      Candidate(candidate.text, candidate.detail, whole: false)
    }
    return Completion(start: text.utf8.count - word.utf8.count, candidates: candidates)
  }

  // MARK: Matching

  /// Those that begin as the partial word does; letters' case counts only where it makes a difference.
  private static func matching(_ candidates: [Candidate], _ partial: PartialLine) -> Completion {
    let text = partial.partial
    var matches = candidates.filter {
      $0.text.hasPrefix(text) || $0.text.lastPart.hasPrefix(text) && !text.isEmpty
    }
    if matches.isEmpty {
      let lower = text.lowercased()
      matches = candidates.filter { $0.text.lowercased().hasPrefix(lower) }
    }
    var seen = Set<Candidate>()
    matches = matches.filter { seen.insert($0).inserted }
    return Completion(
      start: partial.partialStart, candidates: Array(matches.prefix(ShellLimits.candidatesMax)))
  }

  /// The longest text that all candidates begin with.
  var commonPrefix: String {
    guard var prefix = candidates.first?.text else { return "" }
    for candidate in candidates.dropFirst() {
      while !candidate.text.hasPrefix(prefix) { prefix.removeLast() }
    }
    return prefix
  }

  /// The texts, each once: overloads share one.
  var texts: [String] {
    var seen = Set<String>()
    return candidates.map(\.text).filter { seen.insert($0).inserted }
  }
}

extension String {
  /// `add` of `math.add`.
  fileprivate var lastPart: Substring {
    let base = prefix { $0 != "(" }
    guard let dot = base.lastIndex(of: ".") else { return "" }
    return base[base.index(after: dot)...]
  }
}

extension String {
  /// The longest ending of which every character is wanted.
  fileprivate func suffix(while isWanted: (Character) -> Bool) -> Substring {
    var start = endIndex
    while start > startIndex {
      let before = index(before: start)
      guard isWanted(self[before]) else { break }
      start = before
    }
    return self[start...]
  }
}
