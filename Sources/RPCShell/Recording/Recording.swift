import RPCWire

/// A session as a script with what it answered: commands, and behind each in comments what is expected of it. Any
/// shell runs it; `replay --check` compares.
///
///     call s1 text.concat 32 hello
///     #= "32hello"
///     #< 100 ms
///     math.divide 1 0
///     #! ExecutionException: cannot divide 1 by zero
struct Recording: Hashable, Sendable {
  enum Expectation: Hashable, Sendable {
    /// `#= JSON`.
    case value(Value)
    /// `#= *`: any value, for what differs from call to call.
    case anyValue
    /// `#! Exception: message`; a message of `*` is any.
    case failure(exception: String, message: String)
  }

  struct Entry: Hashable, Sendable {
    var line: CommandLine
    var number: Int
    var expectation: Expectation?
    /// `#< TIME`.
    var budget: Duration?
  }

  var entries: [Entry] = []
  /// How many commands have an expectation.
  var checks: Int { entries.count { $0.expectation != nil || $0.budget != nil } }

  /// - Throws: what is wrong with an expectation, with its line.
  init(parsing text: String) throws(CommandFailure) {
    let bytes = Array(text.utf8)
    var offset = 0
    var number = 1
    while offset < bytes.count {
      let line = CommandLine(parsing: bytes, from: offset)
      let written = String(decoding: bytes[offset..<line.end], as: UTF8.self).trimmingSpaces
      if line.isEmpty {
        try expect(written, number)
      } else {
        entries.append(Entry(line: line, number: number))
      }
      number += bytes[offset..<line.end].count { $0 == .newline }
      offset = line.end
    }
  }

  private mutating func expect(_ comment: String, _ number: Int) throws(CommandFailure) {
    guard comment.utf8.count > 2, let last = entries.indices.last else { return }
    let text = String(comment.dropFirst(2)).trimmingSpaces
    switch comment.prefix(2) {
    case "#=":
      if text == "*" {
        entries[last].expectation = .anyValue
        return
      }
      guard let value = try? ValueType.any.value(fromJSON: Value(json: text)) else {
        throw .other("line \(number): what is expected must be JSON, or * for anything: \(text)")
      }
      entries[last].expectation = .value(value)
    case "#!":
      let parts = text.split(separator: ":", maxSplits: 1).map { String($0).trimmingSpaces }
      entries[last].expectation = .failure(
        exception: parts.first ?? "", message: parts.count > 1 ? parts[1] : "*")
    case "#<":
      guard let budget = Quantity.duration(parsing: text.replacing(" ", with: "")) else {
        throw .other("line \(number): invalid time '\(text)': write 100 ms or 2s")
      }
      entries[last].budget = budget
    default: break
    }
  }

  // MARK: Writing

  static func header(_ identity: String?) -> String {
    """
    # Recorded \(Timestamp.now())\(identity.map { " as \($0)" } ?? "") with rpc-client \(Shell.version).
    # Run it: rpc-client -f FILE    Check it: replay --check FILE
    # '#=' is what the command above answers (* for anything), '#!' how it fails, '#<' how long it may take.

    """
  }

  static func text(_ line: String, _ outcome: Outcome) -> String {
    var text = line + "\n"
    switch outcome {
    case .value(let value, let elapsed):
      text += "#= \(value.json)\n"
      let budget = max(.milliseconds(100), elapsed * ShellLimits.budgetFactor)
      text += "#< \(Int64(budget.seconds * 1000)) ms\n"
    case .failure(let failure):
      text += "#! \(Self.name(failure)): \(failure.message.firstLine)\n"
    case .nothing: break
    }
    return text
  }

  enum Outcome: Hashable, Sendable {
    case value(Value, Duration)
    case failure(CommandFailure)
    case nothing
  }

  static func name(_ failure: CommandFailure) -> String {
    switch failure.kind {
    case .call(let error): error.exception.rawValue
    case .usage: "UsageError"
    case .interrupted: "Interrupted"
    case .other, .told: "CommandFailed"
    }
  }

  // MARK: Checking

  /// What is not as expected, nil when all is.
  static func mismatch(_ entry: Entry, _ outcome: Outcome) -> String? {
    switch (entry.expectation, outcome) {
    case (nil, .failure(let failure)): return "failed: \(name(failure)): \(failure.message.firstLine)"
    case (nil, _): break
    case (.anyValue, .value): break
    case (.value(let expected), .value(let value, _)):
      if expected.comparable != value.comparable {
        return "expected \(expected.json), got \(value.json)"
      }
    case (.value(let expected), .failure(let failure)):
      return "expected \(expected.json), got \(name(failure)): \(failure.message.firstLine)"
    case (.anyValue, .failure(let failure)):
      return "expected a value, got \(name(failure)): \(failure.message.firstLine)"
    case (.failure(let exception, let message), .failure(let failure)):
      if exception != name(failure)
        || message != "*" && !message.hasSameUTF8(as: failure.message.firstLine.trimmingSpaces)
      {
        return "expected \(exception): \(message), got \(name(failure)): \(failure.message.firstLine)"
      }
    case (.failure(let exception, _), .value(let value, _)): return "expected \(exception), got \(value.json)"
    case (_, .nothing): return "expected an answer, but this command has none"
    }
    if let budget = entry.budget, case .value(_, let elapsed) = outcome, elapsed > budget {
      return "took \(Quantity.duration(elapsed)), more than \(Quantity.duration(budget))"
    }
    return nil
  }
}
