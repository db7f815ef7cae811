import RPCClient

/// A command's words, each in the slot or flag it belongs to.
struct BoundWords: Hashable, Sendable {
  private(set) var slots: [String: [Argument]] = [:]
  private(set) var flags: [String: Argument?] = [:]
  private(set) var issues: [Issue] = []
  /// Slots that the next word could fill, and whether a flag could stand there: for completion.
  private(set) var next: [Grammar.Slot] = []
  /// The flag whose value comes next.
  private(set) var openFlag: Grammar.Flag?
  private(set) var mayTakeFlag = true
  /// How many words stand before the nested line or the arguments.
  private(set) var restStart: Int?

  func word(_ label: String) -> String? { slots[label]?.first?.plainText }
  func argument(_ label: String) -> Argument? { slots[label]?.first }
  func all(_ label: String) -> [Argument] { slots[label] ?? [] }
  func has(_ flag: String) -> Bool { flags[flag] != nil }
  func flag(_ name: String) -> Argument? { flags[name] ?? nil }

  /// - Parameter words: without the command's own name.
  init(_ words: ArraySlice<Argument>, grammar: Grammar, snapshot: NetworkSnapshot, usageOf command: String) {
    var remaining = grammar.slots[...]
    var index = words.startIndex
    while index < words.endIndex {
      let word = words[index]
      if mayTakeFlag, let text = Self.flagText(word),
        let flag = grammar.flags.first(where: { $0.names.contains(text) })
      {
        index += 1
        guard let value = flag.value else {
          flags.updateValue(nil, forKey: flag.names[0])
          continue
        }
        guard index < words.endIndex else {
          openFlag = flag
          issues.append(Issue(word.span, "\(text) needs a value: \(value.label)"))
          break
        }
        check(words[index], value, snapshot)
        flags.updateValue(words[index], forKey: flag.names[0])
        index += 1
        continue
      }
      // An optional slot is passed over when the word does not look like what it takes.
      while let slot = remaining.first, slot.presence == .optional,
        !Self.fits(words, index, slot, following: remaining.dropFirst(), snapshot)
      {
        remaining.removeFirst()
      }
      guard let slot = remaining.first else {
        if let text = Self.flagText(word), mayTakeFlag, !grammar.flags.isEmpty || text.hasPrefix("--") {
          let names = grammar.flags.flatMap(\.names)
          issues.append(
            Issue(
              word.span, "unknown flag \(text) of '\(command)'" + Suggestion.text(for: text, among: names)))
        } else {
          issues.append(
            Issue(word.span, "unexpected '\(word.text)': usage: \(command) \(grammar.usage)".trimmingSpaces))
        }
        index += 1
        continue
      }
      if mayTakeFlag, let text = Self.flagText(word), slot.kind != .text, slot.kind != .arguments,
        slot.kind != .file
      {
        let names = grammar.flags.flatMap(\.names)
        issues.append(
          Issue(word.span, "unknown flag \(text) of '\(command)'" + Suggestion.text(for: text, among: names)))
        index += 1
        continue
      }
      if slot.presence.isRest {
        if slots[slot.label] == nil { restStart = index - words.startIndex }
        slots[slot.label, default: []].append(word)
        if slot.kind == .arguments || slot.kind == .line || slot.kind == .text { mayTakeFlag = false }
      } else {
        check(word, slot, snapshot)
        slots[slot.label, default: []].append(word)
        remaining.removeFirst()
        // What follows a procedure is its arguments: `-5` is a number there. What follows a nested command is
        // that command's.
        if slot.kind == .procedure || slot.kind == .line { mayTakeFlag = false }
        if slot.kind == .line { restStart = index - words.startIndex }
      }
      index += 1
    }
    let missing = remaining.first { $0.presence.isRequired && slots[$0.label] == nil }
    if let missing, openFlag == nil {
      let end = words.last?.span.upperBound ?? 0
      issues.append(
        Issue(end..<end, "missing \(missing.label): usage: \(command) \(grammar.usage)", mayGoOn: true))
    }
    for slot in remaining {
      next.append(slot)
      if slot.presence.isRequired { break }
    }
  }

  private static func flagText(_ word: Argument) -> String? {
    guard word.name == nil, case .bare(let text) = word.literal.kind, text.utf8.first == .minus,
      text.utf8.count > 1,
      !(text.utf8.dropFirst().first.map { $0.isASCIIDigit || $0 == .dot } ?? false)
    else { return nil }
    return text
  }

  /// Whether a word may stand in an optional slot.
  private static func fits(
    _ words: ArraySlice<Argument>, _ index: Int, _ slot: Grammar.Slot, following: ArraySlice<Grammar.Slot>,
    _ snapshot: NetworkSnapshot
  ) -> Bool {
    let text = words[index].plainText
    switch slot.kind {
    case .servers, .server:
      if snapshot.serverNames.contains(text) { return true }
      if slot.kind == .servers, text == "*" || text.contains(",") && !text.contains("(") { return true }
      guard following.first?.kind == .procedure else { return following.isEmpty }
      // `call s9 math.add`: a server's name, misspelt. `call add 1`: a procedure's.
      guard !text.contains("."), !text.contains("("), index + 1 < words.endIndex else { return false }
      let nextWord = words[index + 1].plainText
      return !snapshot.knowsProcedure(text)
        && (snapshot.knowsProcedure(nextWord) || nextWord.isQualifiedName)
    case .count, .number: return BareText.number(text) != nil
    case .duration: return Quantity.duration(parsing: text) != nil
    default: return true
    }
  }

  private mutating func check(_ word: Argument, _ slot: Grammar.Slot, _ snapshot: NetworkSnapshot) {
    let text = word.plainText
    switch slot.kind {
    case .server: server(text, word, snapshot)
    case .servers where text != "*":
      for name in text.split(separator: ",", omittingEmptySubsequences: false) {
        if name.isEmpty {
          issues.append(Issue(word.span, "a server's name is missing in '\(text)'"))
        } else {
          server(String(name), word, snapshot)
        }
      }
    case .client where text != "-" && snapshot.topology.client(text) == nil:
      issues.append(
        Issue(
          word.span,
          "unknown client '\(text)'" + Suggestion.orAll(for: text, among: snapshot.clientNames)))
    case .count:
      guard case .int(let value)? = BareText.number(text), value > 0 else {
        issues.append(Issue(word.span, "\(slot.label) is a whole number above 0, not '\(text)'"))
        return
      }
    case .number:
      guard BareText.number(text) != nil else {
        issues.append(Issue(word.span, "\(slot.label) is a number, not '\(text)'"))
        return
      }
    case .duration:
      guard let duration = Quantity.duration(parsing: text), duration > .zero else {
        issues.append(
          Issue(word.span, "\(slot.label) is a time above 0 such as 2, 500ms, 1.5s or 2m, not '\(text)'"))
        return
      }
    case .choice(let choices) where !choices.contains(text):
      issues.append(
        Issue(
          word.span,
          "\(slot.label) is one of \(choices.joined(separator: ", ")), not '\(text)'"
            + Suggestion.text(for: text, among: choices)))
    default: break
    }
  }

  private mutating func server(_ name: String, _ word: Argument, _ snapshot: NetworkSnapshot) {
    guard snapshot.topology.server(name) == nil, name != "-" else { return }
    issues.append(
      Issue(
        word.span, "unknown server '\(name)'" + Suggestion.orAll(for: name, among: snapshot.serverNames))
    )
  }
}

extension String {
  /// `service.rpc`, maybe with types behind it.
  var isQualifiedName: Bool {
    let base = prefix { $0 != "(" }
    guard let dot = base.lastIndex(of: "."), dot != base.startIndex else { return false }
    let name = base[base.index(after: dot)...]
    return !name.isEmpty && base.first != "." && base.first != "/" && Double(self) == nil
      && base.allSatisfy { $0.isLetter || $0.isNumber || "._-".contains($0) }
  }
}
