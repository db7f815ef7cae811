/// Answers that come in any order, taken in the order of their questions. Pure.
///
/// A sequence number stays good as long as its entry is not taken; entries that were taken are dropped in bulk, so
/// that taking one costs little however many wait.
struct AnswerQueue<Question, Answer> {
  private struct Entry {
    var question: Question
    var answer: Answer?
  }

  /// nil once taken.
  private var entries: ContiguousArray<Entry?> = []
  /// Index of the oldest entry that was not taken.
  private var head = 0
  /// The sequence number of `entries[0]`.
  private var first = 0

  /// Questions that were not taken yet.
  var count: Int { entries.count - head }

  /// Whether the oldest question has its answer.
  var isReady: Bool { head < entries.count && entries[head]?.answer != nil }

  mutating func append(_ question: Question) -> Int {
    entries.append(Entry(question: question))
    return first + entries.count - 1
  }

  /// False when there is no such question, or it has an answer: the first one stays.
  mutating func answer(_ sequence: Int, _ answer: Answer) -> Bool {
    let index = sequence - first
    guard index >= head, index < entries.count, entries[index]?.answer == nil else { return false }
    entries[index]?.answer = answer
    return true
  }

  /// Whether the question waits for its answer.
  func isOpen(_ sequence: Int) -> Bool {
    let index = sequence - first
    return index >= head && index < entries.count && entries[index]?.answer == nil
  }

  /// Everything at the head that has its answer.
  mutating func takeReady() -> [(Question, Answer)] {
    var batch: [(Question, Answer)] = []
    while head < entries.count, let entry = entries[head], let answer = entry.answer {
      batch.append((entry.question, answer))
      entries[head] = nil
      head += 1
    }
    if head == entries.count || head > ShellLimits.answeredEntriesKept {
      first += head
      entries.removeFirst(head)
      head = 0
    }
    return batch
  }
}
