import RPCWire

enum BenchCommand: Command {
  static let name = "bench"
  static let group = CommandGroup.measuring
  static let summary = "call a procedure as fast as it goes, or at a rate, and show the latencies"
  static let grammar = Grammar(
    flags: [
      .init("-n", "--count", value: .init("COUNT", .count), help: "end after so many calls"),
      .init("-d", "--duration", value: .init("TIME", .duration), help: "end after this time (5s)"),
      .init("-c", "--outstanding", value: .init("COUNT", .count), help: "calls in flight at once (1)"),
      .init(
        "-r", "--rate", value: .init("RATE", .number),
        help: "begin so many calls per second, whatever the answers do"),
    ], .init("SERVERS", .servers, .optional), .init("SERVICE.RPC", .procedure),
    .init("ARG", .arguments, .rest))
  static let details = """
    Percentiles are corrected for coordinated omission: a call that had to wait for its turn counts from when it \
    should have begun. With --rate that is exact; without, the calls that a slow answer held up are put in.
    Ctrl-C ends it early and keeps the report. The result is _, with _.p99_us and so on.
    """
  static let examples = [
    CommandExample("bench s2 math.add 1 2", "one call at a time for five seconds"),
    CommandExample("bench -c 100 -d 10s math.add 1 2", "a hundred in flight"),
    CommandExample("bench -r 1000 text.concat 32 hello", "a thousand per second"),
  ]

  static func run(_ input: CommandInput, in session: ShellSession) async throws(CommandFailure) {
    let plan = try await session.plan(input.words)
    if case .several = plan.target { throw .usage("bench measures one server at a time") }
    var options = LoadRun.Options()
    if let count = input.words.flag("-n").flatMap({ Int($0.plainText) }) {
      options.count = count
      options.duration = .seconds(86_400)
    }
    if let duration = input.words.flag("-d").flatMap({ Quantity.duration(parsing: $0.plainText) }) {
      options.duration = duration
    }
    if let outstanding = input.words.flag("-c").flatMap({ Int($0.plainText) }) {
      guard outstanding <= ShellLimits.outstandingMax else {
        throw .usage(
          "-c takes at most \(ShellLimits.outstandingMax), not '\(outstanding)'",
          at: input.words.flag("-c")?.span)
      }
      options.outstanding = outstanding
    }
    if let argument = input.words.flag("-r") {
      guard let rate = Double(argument.plainText), rate >= 0.01, rate <= 1e7 else {
        throw .usage(
          "RATE is calls per second, from 0.01 to 10,000,000, not '\(argument.plainText)'", at: argument.span)
      }
      options.rate = rate
    }
    // One call first: a mistake should not be made a million times, and the first one connects.
    _ = try await session.perform(plan)
    let output = input.output
    let report = await LoadRun(session.backend, plan.request, options).run { output.progress($0.line) }
    output.progress(nil)
    let place = plan.request.server.map { " on \($0)" } ?? ""
    let fields = report.fields(title: plan.procedure + place)
    output.emit(.fields(fields))
    _ = session.keep(.map(fields.fields.map { Value.Entry($0.key, $0.value) }))
    if report.errors > 0 { throw .told }
  }
}
