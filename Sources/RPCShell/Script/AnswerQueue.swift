internal import DequeModule

/// Answers that come in any order, taken in the order of their questions. Pure.
///
/// A sequence number stays good as long as its entry is not taken.
struct AnswerQueue<Question, Answer> {
  private struct Entry {
    var question: Question
    var answer: Answer?
  }

  private var entries: Deque<Entry> = []
  /// The sequence number of `entries[0]`.
  private var first = 0

  /// Questions that were not taken yet.
  var count: Int { entries.count }

  /// Whether the oldest question has its answer.
  var isReady: Bool { entries.first?.answer != nil }

  mutating func append(_ question: Question) -> Int {
    entries.append(Entry(question: question))
    return first + entries.count - 1
  }

  /// False when there is no such question, or it has an answer: the first one stays.
  mutating func answer(_ sequence: Int, _ answer: Answer) -> Bool {
    guard isOpen(sequence) else { return false }
    entries[sequence - first].answer = answer
    return true
  }

  /// Whether the question waits for its answer.
  func isOpen(_ sequence: Int) -> Bool {
    let index = sequence - first
    return entries.indices.contains(index) && entries[index].answer == nil
  }

  /// Everything at the head that has its answer.
  mutating func takeReady() -> [(Question, Answer)] {
    var batch: [(Question, Answer)] = []
    while let entry = entries.first, let answer = entry.answer {
      batch.append((entry.question, answer))
      entries.removeFirst()
    }
    first += batch.count
    return batch
  }
}
