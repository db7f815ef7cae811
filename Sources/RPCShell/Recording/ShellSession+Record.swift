import RPCSystem
import RPCWire

extension ShellSession {
  /// Runs a line that somebody typed, or that a script holds: `execute`, and what came of it goes into the recording
  /// where there is one.
  func run(_ line: CommandLine, _ output: any Output) async throws(CommandFailure) {
    guard let recorder = change({ $0.recorder }) else { return try await execute(line, output) }
    let (outcome, failure) = await observed(line, output)
    // The commands that switch recording are not part of it, nor is what was taken back.
    let isOwn = ["record", "replay", "quit", "exit"].contains(line.words.first?.plainText ?? "")
    if !isOwn, failure?.kind != .interrupted, line.isKeptOut(of: snapshotWithoutStates) {
      output.emit(.note("(left out of the recording, as it is of the history)"))
    } else if !isOwn, failure?.kind != .interrupted {
      do throws(SystemError) {
        try recorder.add(line.written, outcome)
      } catch {
        // Half a recording that goes on would look like a whole one.
        change { $0.recorder = nil }
        output.emit(.note("recording stopped: cannot write '\(recorder.path)': \(error.reason)"))
        if failure == nil { throw .told }
      }
    }
    if let failure { throw failure }
  }

  /// Runs a line and tells what came of it.
  func observed(_ line: CommandLine, _ output: any Output) async -> (Recording.Outcome, CommandFailure?) {
    let before = snapshotWithoutStates.variables.count
    let started = ContinuousClock.now
    do throws(CommandFailure) {
      try await execute(line, output)
    } catch {
      return (.failure(error), error)
    }
    let variables = snapshotWithoutStates.variables
    guard variables.count > before, let last = variables.last else { return (.nothing, nil) }
    return (.value(last, ContinuousClock.now - started), nil)
  }
}

extension CommandLine {
  /// Whether the line belongs into no file: it begins with a space, or holds a secret.
  func isKeptOut(of snapshot: NetworkSnapshot) -> Bool {
    let start = binding?.span.lowerBound ?? shell?.span.lowerBound ?? words.first?.span.lowerBound ?? 0
    if start > 0, source[start - 1] == .space { return true }
    return Secrets.contains([self], snapshot)
  }

  /// The command as it was written, without what follows it.
  var written: String {
    let start = binding?.span.lowerBound ?? shell?.span.lowerBound ?? words.first?.span.lowerBound ?? 0
    return text(start..<min(end, source.count)).trimmingSpaces
  }
}
