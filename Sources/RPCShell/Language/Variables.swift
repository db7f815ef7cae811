import RPCWire

/// The results and variables of a session: what `_`, `$3` and `$name` stand for.
struct Variables: Sendable {
  private(set) var named: [String: Value] = [:]
  /// Ring of the newest results; the first has the number `firstNumber`.
  private var results: [Value] = []
  private var firstNumber = 1

  var last: Value? { results.last }
  /// The number of the newest result, 0 before the first.
  var count: Int { firstNumber + results.count - 1 }

  func result(_ number: Int) -> Value? {
    let index = number - firstNumber
    guard results.indices.contains(index) else { return nil }
    return results[index]
  }

  /// Why there is no such result.
  func missing(_ number: Int) -> String {
    if results.isEmpty { return "there is no result $\(number) yet" }
    if number < firstNumber { return "result $\(number) is forgotten: the last \(results.count) are kept" }
    return "there is no result $\(number): the last is $\(count)"
  }

  /// Keeps a result and returns its number.
  @discardableResult
  mutating func append(_ value: Value) -> Int {
    results.append(value)
    // Dropped in bulk, so that keeping one more costs little.
    if results.count >= 2 * ShellLimits.resultsKept {
      let dropped = results.count - ShellLimits.resultsKept
      results.removeFirst(dropped)
      firstNumber += dropped
    }
    return count
  }

  mutating func bind(_ name: String, to value: Value?) { named[name] = value }

  var numbers: Range<Int> { firstNumber..<firstNumber + results.count }
}
