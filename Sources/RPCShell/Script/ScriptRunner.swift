import RPCClient
import RPCProcedures
import RPCSystem
import RPCWire

/// Runs the commands of a script. Calls that depend on nothing before them are in flight together; everything else
/// waits until the answers before it have been told. Not Sendable: one task runs it.
struct ScriptRunner {
  struct Outcome: Sendable {
    var failures = 0
    var commands = 0
    /// The only command's failure, for the exit status of a single call.
    var lastFailure: CommandFailure?
    var isStopped = false
    var isInterrupted = false

    /// Adds what came of the next script.
    mutating func add(_ next: Outcome) {
      commands += next.commands
      failures += next.failures
      lastFailure = next.lastFailure ?? lastFailure
      isStopped = isStopped || next.isStopped
      isInterrupted = isInterrupted || next.isInterrupted
    }
  }

  private let session: ShellSession
  private let output: any Output
  /// Before the line number in messages; nil at the prompt and for `-c`.
  private let name: String?
  private let stopsAtFailure: Bool
  private let outcome = OutcomeBox()
  private var heads: [String: (version: Int, head: CallPlan.Head)] = [:]
  private var serverNames: (version: Int, names: Set<String>)?

  /// Shared with the thread that tells the answers.
  private final class OutcomeBox: Sendable {
    let value = Lock(Outcome())
  }

  init(session: ShellSession, output: any Output, name: String?, stopsAtFailure: Bool) {
    self.session = session
    self.output = output
    self.name = name
    self.stopsAtFailure = stopsAtFailure
  }

  mutating func run(_ reader: CommandReader) async -> Outcome {
    var reader = reader
    let pipeline = makePipeline()
    while !session.isEnding, !Task.isCancelled {
      let command: CommandReader.Command?
      do throws(CommandFailure) {
        command = try await reader.next()
      } catch {
        await pipeline.drain()
        fail(error, nil, nil)
        break
      }
      guard let command else { break }
      outcome.value.withLock { $0.commands += 1 }
      // A recording holds each command with its own answer.
      let isAlone = stopsAtFailure || session.change { $0.recorder != nil }
      let limit = isAlone ? 1 : session.settings.pipeline
      if limit > 1, let plan = await pipelined(command.line, pipeline) {
        await pipeline.submit(
          CallPipeline.Origin(plan: plan, line: command.line, number: command.number, started: .now),
          limit: limit)
        continue
      }
      await pipeline.drain()
      if Task.isCancelled { break }
      do throws(CommandFailure) {
        try await session.run(command.line, output)
      } catch {
        fail(error, command.line, command.number)
        if error.kind == .interrupted { break }
        if stopsAtFailure {
          outcome.value.withLock { $0.isStopped = true }
          break
        }
      }
    }
    await pipeline.drain()
    pipeline.close()
    if Task.isCancelled {
      outcome.value.withLock { $0.isInterrupted = true }
      let count = pipeline.givenUp
      if count > 0 {
        let calls = count == 1 ? "1 call was" : "\(count) calls were"
        let failure = CommandFailure(
          .interrupted, "interrupted: \(calls) cancelled, and may have been executed")
        output.add(output.renderer.render(failure, location: name))
      }
    }
    return outcome.value.withLock { $0 }
  }

  // MARK: Calls in flight together

  private func makePipeline() -> CallPipeline {
    let (session, output, outcome, name) = (session, output, outcome, name)
    return CallPipeline(backend: session.backend) { origin, result in
      switch result {
      case .success(let answer):
        let number = session.keep(answer.value)
        output.emit(
          .answer(
            Report(
              procedure: origin.plan.procedure, answer: answer, number: number, overload: origin.plan.overload
            )))
      case .failure(let error):
        let failure = session.failed(origin.plan, error, ContinuousClock.now - origin.started)
        Self.fail(failure, origin.line, origin.number, name, output, outcome)
      }
    } idle: {
      (output as? StandardOutput)?.flush()
    }
  }

  /// The plan of a line that is a call and nothing else, and needs no earlier result. Nil for any other line.
  private mutating func pipelined(_ line: CommandLine, _ pipeline: CallPipeline) async -> CallPlan? {
    guard line.issues.isEmpty, line.open.isEmpty, line.binding == nil, line.pipe == nil,
      line.redirection == nil, line.background == nil, line.shell == nil, let first = line.words.first,
      case .bare(let word) = first.literal.kind
    else { return nil }
    var words = line.words[...]
    let command = CommandRegistry.command(word)
    if let command {
      guard command == CallCommand.self else { return nil }
      words.removeFirst()
    }
    var deadline: Duration?
    while command != nil, let flag = words.first?.word, CallCommand.timeoutFlag.names.contains(flag) {
      guard let text = words.dropFirst().first?.plainText, let time = Quantity.duration(parsing: text),
        time > .zero
      else { return nil }
      deadline = time
      words = words.dropFirst(2)
    }
    guard let leading = words.first?.plainText, !words.contains(where: { $0.literal.isIndirect }) else {
      return nil
    }
    let version = session.version
    if serverNames?.version != version {
      serverNames = (version, Set(session.snapshotWithoutStates.serverNames))
    }
    // The names at the front say everything about whom to ask and which overloads there are.
    let hasServer = serverNames?.names.contains(leading) ?? false
    if hasServer, words.count == 1 { return nil }
    let key = hasServer ? leading + " " + words[words.startIndex + 1].plainText : leading
    var head: CallPlan.Head
    if let known = heads[key], known.version == version {
      head = known.head
    } else {
      guard command != nil || first.plainText.isQualifiedName || session.startsCall(line) else { return nil }
      let snapshot = session.snapshotWithoutStates
      let bound = BoundWords(words, grammar: CallCommand.grammar, snapshot: snapshot, usageOf: "call")
      guard bound.issues.isEmpty, bound.flags.isEmpty, (bound.word("SERVERS") != nil) == hasServer else {
        return nil
      }
      await session.ensureCatalogues(for: bound)
      guard let made = try? CallPlan.head(bound, session.snapshotWithoutStates) else { return nil }
      if case .several = made.target { return nil }
      head = made
      heads[key] = (session.version, made)
    }
    var plan = try? CallPlan.make(head, Array(words.dropFirst(hasServer ? 2 : 1)), session.settings)
    if let deadline { plan?.request.deadline = deadline }
    return plan
  }

  // MARK: Failures

  private func fail(_ failure: CommandFailure, _ line: CommandLine?, _ number: Int?) {
    Self.fail(failure, line, number, name, output, outcome)
  }

  private static func fail(
    _ failure: CommandFailure, _ line: CommandLine?, _ number: Int?, _ name: String?, _ output: any Output,
    _ outcome: OutcomeBox
  ) {
    outcome.value.withLock { outcome in
      outcome.failures += 1
      outcome.lastFailure = failure
      if failure.kind == .interrupted { outcome.isInterrupted = true }
    }
    if failure.kind == .interrupted { return }
    let location = name.flatMap { name in number.map { "\(name):\($0)" } ?? name }
    output.add(output.renderer.render(failure, line: line, location: location))
  }
}

extension ShellSession {
  /// `source FILE`.
  func runScript(_ path: String, stopsAtFailure: Bool, _ output: any Output) async throws(CommandFailure) {
    let depth = change { state in
      state.sourceDepth += 1
      return state.sourceDepth
    }
    defer { change { $0.sourceDepth -= 1 } }
    guard depth <= ShellLimits.sourceDepthMax else {
      throw .other("scripts run scripts \(ShellLimits.sourceDepthMax) deep: does '\(path)' run itself?")
    }
    let file: ScriptFile
    do {
      file = try ScriptFile(FileContent.expanded(path))
    } catch {
      throw .other("cannot read '\(path)': \(error.reason)")
    }
    var runner = ScriptRunner(session: self, output: output, name: path, stopsAtFailure: stopsAtFailure)
    let outcome = await runner.run(CommandReader(descriptor: file.descriptor.raw))
    if outcome.isInterrupted { throw .interrupted }
    if outcome.failures > 0 {
      throw outcome.isStopped
        ? .told : .other("\(outcome.failures) of \(outcome.commands) commands in \(path) failed")
    }
  }
}
