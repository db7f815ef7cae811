import RPCWire

/// Why a command did not do what it was asked.
struct CommandFailure: Error, Hashable, Sendable {
  enum Kind: Hashable, Sendable {
    /// The line itself is wrong: it never ran.
    case usage
    /// A call failed.
    case call(RPCError)
    /// Something around it failed: a file, a program, a script that was run.
    case other
    /// Ctrl-C.
    case interrupted
    /// It failed, and everything about it has been said already.
    case told
  }

  var kind: Kind
  var message: String
  /// Where in the line.
  var span: Range<Int>?
  /// What to try.
  var hint: String?
  /// What was called, and who was asked.
  var procedure: String?
  var server: String?

  init(_ kind: Kind, _ message: String, at span: Range<Int>? = nil, hint: String? = nil) {
    self.kind = kind
    self.message = message
    self.span = span
    self.hint = hint
  }

  static func usage(_ message: String, at span: Range<Int>? = nil, hint: String? = nil) -> CommandFailure {
    CommandFailure(.usage, message, at: span, hint: hint)
  }

  static func other(_ message: String, hint: String? = nil) -> CommandFailure {
    CommandFailure(.other, message, hint: hint)
  }

  static func call(_ error: RPCError, procedure: String? = nil, server: String? = nil) -> CommandFailure {
    var failure = CommandFailure(.call(error), error.message)
    failure.procedure = procedure
    failure.server = server
    return failure
  }

  static let interrupted = CommandFailure(.interrupted, "interrupted")

  /// A call that was given up with Ctrl-C: whether it did anything is what one wants to know then.
  static func cancelled(_ procedure: String, _ error: RPCError, _ elapsed: Duration) -> CommandFailure {
    let did =
      switch error.executed {
      case .no: "it was not executed"
      case .maybe: "it may have been executed in part"
      case .yes: "it was executed"
      }
    return CommandFailure(
      .interrupted, "cancelled \(procedure) after \(Quantity.duration(elapsed)): \(did)")
  }

  static let told = CommandFailure(.told, "")

  init(_ issue: Issue) { self = .usage(issue.message, at: issue.span) }

  /// For programs.
  var object: Value {
    var entries: [Value.Entry] = []
    switch kind {
    case .call(let error):
      entries.append(Value.Entry("exception", .string(error.exception.rawValue)))
      entries.append(Value.Entry("message", .string(error.message)))
      entries.append(Value.Entry("code", .int(Int64(error.code.rawValue))))
      entries.append(Value.Entry("executed", .string("\(error.executed)")))
      if let source = error.source { entries.append(Value.Entry("source", .string(source))) }
      if let retry = error.retryAfterMilliseconds {
        entries.append(Value.Entry("retry_after_ms", .int(Int64(retry))))
      }
      entries += error.bound
    case .usage:
      entries = [Value.Entry("exception", "UsageError"), Value.Entry("message", .string(message))]
    case .interrupted:
      entries = [Value.Entry("exception", "Interrupted"), Value.Entry("message", .string(message))]
    case .other, .told:
      entries = [Value.Entry("exception", "CommandFailed"), Value.Entry("message", .string(message))]
    }
    if let procedure { entries.append(Value.Entry("procedure", .string(procedure))) }
    if let server { entries.append(Value.Entry("server", .string(server))) }
    return .map([Value.Entry("error", .map(entries))])
  }
}

extension RPCError {
  /// The bound that was crossed, for programs. The keys say the unit where the server said it.
  var bound: [Value.Entry] {
    let ending = unit.map { "_" + $0.rawValue } ?? ""
    return [("actual", actual), ("limit", limit)].compactMap { name, number in
      number.map { Value.Entry(name + ending, .int(Int64($0))) }
    }
  }
}
