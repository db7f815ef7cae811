/// One way to go on with a line.
struct Candidate: Hashable, Sendable {
  /// What is put in place of the partial word.
  var text: String
  /// What is shown beside it in a list: a signature, a summary.
  var detail: String = ""
  /// Whether the word is complete with it: a space follows.
  var isWhole: Bool = true

  init(_ text: String, _ detail: String = "", whole: Bool = true) {
    self.text = text
    self.detail = detail
    isWhole = whole
  }
}

/// What a completion can look at: never anything that would have to be waited for.
struct CompletionContext: Sendable {
  var snapshot: NetworkSnapshot
  /// The words before the one that is being completed, in their slots.
  var words: BoundWords
  /// The part of the word that is there.
  var partial: String
}
