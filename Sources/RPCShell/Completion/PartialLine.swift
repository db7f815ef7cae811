/// A line that somebody is still typing, up to the cursor: which command it is of, the words that are finished, and
/// the one that is not. Completion and hints both start from it.
struct PartialLine: Sendable {
  var line: CommandLine
  /// Finished words, the command's name first; a nested command's own words where there is one.
  var words: ArraySlice<Argument>
  /// The unfinished word, empty behind a space.
  var partial: String
  /// Where the unfinished word starts, in bytes.
  var partialStart: Int
  /// `name` of an unfinished `name=…`.
  var partialName: String?
  var command: (any Command.Type)?
  /// Whether a call is meant although nobody typed the command's name.
  var isImplicitCall = false

  init(_ text: String, _ snapshot: NetworkSnapshot) {
    line = CommandLine(parsing: text)
    words = line.words[...]
    partial = ""
    partialStart = text.utf8.count
    if let last = words.last, last.span.upperBound == text.utf8.count, !Self.isSpace(text.utf8.last) {
      words.removeLast()
      partial = last.text
      partialStart = last.span.lowerBound
      if let name = last.name {
        partialName = name
        partialStart = last.literal.span.lowerBound
        partial = line.text(last.literal.span)
      }
    }
    findCommand(snapshot)
  }

  private static func isSpace(_ byte: UInt8?) -> Bool { byte == .space || byte == .tab || byte == .newline }

  /// Goes into nested commands: in `time call s1 …` the command is `call`.
  private mutating func findCommand(_ snapshot: NetworkSnapshot) {
    for _ in 0..<8 {
      guard let first = words.first else {
        command = nil
        return
      }
      guard let found = CommandRegistry.command(first.plainText) else {
        isImplicitCall = Self.startsCall(words, partial, snapshot)
        command = isImplicitCall ? CallCommand.self : nil
        return
      }
      command = found
      guard found.grammar.slots.contains(where: { $0.kind == .line }) else { return }
      let bound = BoundWords(
        words.dropFirst(), grammar: found.grammar, snapshot: snapshot, usageOf: found.name)
      guard let start = bound.restStart else {
        // The nested command's own name is being typed, when nothing else can stand here.
        if bound.next.first?.kind == .line, bound.openFlag == nil, !partial.hasPrefix("-") {
          words = []
          command = nil
        }
        return
      }
      words = words.dropFirst(1 + start)
    }
  }

  private static func startsCall(
    _ words: ArraySlice<Argument>, _ partial: String, _ snapshot: NetworkSnapshot
  )
    -> Bool
  {
    guard let first = words.first?.word else { return false }
    if first.isQualifiedName || snapshot.knowsProcedure(first) { return true }
    return first == "*"
      || first.split(separator: ",").allSatisfy { snapshot.serverNames.contains(String($0)) }
  }

  /// The finished words in the slots of the command.
  func bound(_ snapshot: NetworkSnapshot) -> BoundWords? {
    guard let command else { return nil }
    return BoundWords(
      isImplicitCall ? words : words.dropFirst(), grammar: command.grammar, snapshot: snapshot,
      usageOf: command.name)
  }
}
