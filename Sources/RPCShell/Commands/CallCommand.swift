import RPCClient
import RPCWire

/// `call`: the command that everything else is about.
enum CallCommand: Command {
  static let name = "call"
  static let group = CommandGroup.calling
  static let summary = "call a procedure on one server, on several, or on any that provides it"
  static let timeoutFlag = Grammar.Flag(
    "-t", "--timeout", value: .init("TIME", .duration), help: "give up after this time")
  static let grammar = Grammar(
    flags: [timeoutFlag], .init("SERVERS", .servers, .optional), .init("SERVICE.RPC", .procedure),
    .init("ARG", .arguments, .rest))
  static let details = """
    SERVERS is one name, several (s1,s2) or * for every provider. Without it the server chosen with 'use' is \
    called, or any provider.
    The word 'call' may be left out: a line that starts with a procedure's name calls it.
    Arguments are numbers, texts with or without quotes, true, None, b"bytes", [lists], {"k": dictionaries}, \
    @file, - for standard input, _ and $3.field for earlier results, name=value where arguments have names.
    Among overloads the one that fits the values best is called: 32 is an int before it is a text. Name the types \
    to choose yourself: text.concat(int, str) 32 33.
    """
  static let examples = [
    CommandExample("call s2 math.add 1 2", "on the server s2"),
    CommandExample("math.add a=1 b=2", "on any provider, arguments by name"),
    CommandExample("call * text.shout hello", "on every provider at once, answers compared"),
    CommandExample("sum = call math.add 1 2", "keep the result as $sum"),
    CommandExample("clock.wait 10 &", "in the background"),
  ]

  static func run(_ input: CommandInput, in session: ShellSession) async throws(CommandFailure) {
    let plan = try await session.plan(input.words)
    guard case .several(let servers) = plan.target else {
      let result = try await withWaitingLine(plan, input.output) { () async throws(CommandFailure) in
        try await session.perform(plan)
      }
      let number = session.keep(result.value)
      input.output.emit(
        .answer(Report(procedure: plan.procedure, answer: result, number: number, overload: plan.overload)))
      return
    }
    let fanOut = await withWaitingLine(plan, input.output) { await session.performEverywhere(plan, servers) }
    if Task.isCancelled { throw .interrupted }
    input.output.emit(.fanOut(fanOut))
    let answers = fanOut.entries.map { entry in
      Value.Entry(entry.server, (try? entry.result.get().value) ?? .null)
    }
    _ = session.keep(.map(answers))
    for entry in fanOut.entries {
      if case .failure(let error) = entry.result {
        _ = session.failed(plan, error, entry.elapsed)
        throw .told
      }
    }
  }

  /// Does something that may take long, and says so once it does.
  private static func withWaitingLine<T: Sendable, Failure>(
    _ plan: CallPlan, _ output: any Output, _ body: () async throws(Failure) -> T
  ) async throws(Failure) -> T {
    guard output.isInteractive else { return try await body() }
    let started = ContinuousClock.now
    let ticker = Task {
      while (try? await Task.sleep(for: .seconds(1))) != nil {
        let elapsed = ContinuousClock.now - started
        guard elapsed >= .seconds(2) else { continue }
        let limit = plan.request.deadline.map { " of \(Quantity.duration($0))" } ?? ""
        output.progress("waiting for \(plan.procedure), \(Int64(elapsed.seconds)) s\(limit) (Ctrl-C cancels)")
      }
    }
    defer {
      ticker.cancel()
      output.progress(nil)
    }
    return try await body()
  }
}
