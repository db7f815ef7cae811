import RPCClient
import RPCSystem
import RPCTransport
import RPCWire
import Synchronization
import TestSupport
import Testing

@testable import RPCShell

@Suite struct SessionTests {
  init() { Terminal.chooseLocale() }

  @Test(
    "one line, one answer",
    arguments: [
      ("call s1 text.concat 32 hello", "32hello\n"), ("text.concat 32 33", "65\n"),
      ("s1 text.upper x", "X\n"),
      ("upper hello", "HELLO\n"), ("call upper hello", "HELLO\n"), ("math.divide 7 2", "3\n1\n"),
      ("text.upper 32", "32\n"), ("text.concat(int,str) 1 2", "12\n"), ("5", "5\n"), ("[1, 2]", "[1,2]\n"),
      ("math.divide 1 0", "!ExecutionException: division by zero (divide.py:2)\n"),
      (
        "frobnicate",
        "!error: unknown command 'frobnicate'\n'help' lists the commands, 'procedures' what can be called\n"
      ),
      ("cal text.upper x", "!error: unknown command 'cal' (did you mean 'call'?)\n"),
      ("call s9 text.upper x", "!error: unknown server 's9' (did you mean 's1'?)\n"),
      ("call s3 math.add 1 2", "!Unavailable: s3: connection refused\n"),
      ("call text.uper x", "!RPCNotFound: there is no 'text.uper'\n"),
      ("call nosuch 1", "!error: no service has a procedure 'nosuch'\n"),
      (
        "text.upper [1]",
        "!InvalidArguments: no overload of text.upper takes these: text.upper(text: str) -> str\n"
      ),
      ("text.upper \"x", "!error: the quote (\") is never closed\n"),
      ("call", "!error: missing SERVICE.RPC: usage: call [-t TIME] [SERVERS] SERVICE.RPC [ARG…]\n"),
      ("servers x", "!error: unexpected 'x': usage: servers\n"),
      ("call -x s1 text.upper a", "!error: unknown flag -x of 'call' (did you mean '-t'?)\n"),
      ("set timeout abc", "!error: timeout is a time such as 500ms or 30s, or none, not 'abc'\n"),
      (
        "set zzzz 1",
        "!error: SETTING is one of color, expanded, hints, output, pager, pipeline, retry, slow, timeout, not 'zzzz'\n"
      ),
      ("_", "!error: there is no result yet for '_'\n"),
      ("use s2x", "!error: unknown server 's2x' (did you mean 's2'?)\n"),
      ("text.upper x | tr X Y", ""), ("", ""), ("# nothing", ""),
      // Nothing but an open quote or a backslash.
      ("\"abc", "!error: the quote (\") is never closed\n"), ("'", "!error: the quote (') is never closed\n"),
      ("\\", "!error: nothing follows the backslash (\\) at the end of the line\n"),
      ("[1, 2", "!error: the bracket ([) is never closed\n"),
      // Which servers are meant.
      ("call , text.upper x", "!error: a server's name is missing in ','\n"),
      ("call s1,,s2 text.upper x", "!error: a server's name is missing in 's1,,s2'\n"),
      ("ping ,", "!error: a server's name is missing in ','\n"),
      // A time or a number of nothing measures nothing.
      (
        "bench -d 0 text.upper x", "!error: TIME is a time above 0 such as 2, 500ms, 1.5s or 2m, not '0'\n"
      ),
      ("bench -n 0 text.upper x", "!error: COUNT is a whole number above 0, not '0'\n"),
      ("bench -c 0 text.upper x", "!error: COUNT is a whole number above 0, not '0'\n"),
      ("bench -c 10001 text.upper x", "!error: -c takes at most 10000, not '10001'\n"),
      ("bench -r 0 text.upper x", "!error: RATE is calls per second, from 0.01 to 10,000,000, not '0'\n"),
      (
        "call -t 0 text.upper x", "!error: TIME is a time above 0 such as 2, 500ms, 1.5s or 2m, not '0'\n"
      ),
      ("watch 0 servers", "!error: TIME is a time above 0 such as 2, 500ms, 1.5s or 2m, not '0'\n"),
      ("repeat 0 servers", "!error: COUNT is a whole number above 0, not '0'\n"),
      ("ping -n 0", "!error: COUNT is a whole number above 0, not '0'\n"),
      ("use nowhere", "!error: unknown server 'nowhere': there are s1, s2 and s3\n"),
      ("as nobody", "!error: unknown client 'nobody': there are c1 and c2\n"),
      // Names that are not commands.
      (
        "text",
        "!error: 'text' is a service, not a command\n'procedures text' lists what it has; text.PROCEDURE calls it; 'describe text' shows more\n"
      ),
      (
        "s1",
        "!error: 's1' is a server, not a command\n's1 SERVICE.RPC' calls it; 'use s1' makes it the one that is called; 'describe s1' shows more\n"
      ),
      ("c1", "!error: 'c1' is a client, not a command\n'as c1' calls as that client\n"),
      ("> x", "!error: a command is missing before '>': quote what is text\n"),
      ("text.upper x >", "!error: a file's name is missing after '>'\n"),
      (
        "text.upper x > /nonexistent/file",
        "!error: cannot write '/nonexistent/file': No such file or directory\n"
      ),
    ])
  func lines(line: String, expected: String) async {
    #expect(await TestShell().run(line) == expected)
  }

  @Test("results are kept and referred to")
  func variables() async {
    let shell = TestShell()
    #expect(
      await shell.run("x = math.divide 17 5", "math.add $x[0] $x.1", "math.add _ 1", "math.add $1.0 $3")
        == "3\n2\n5\n6\n9\n")
    #expect(
      await shell.run("y = {\"a\": [1, 2]}", "$y.a", "z = servers") == "[1,2]\n"
        + (await shell.tableThenError))
  }

  @Test("the current server and the identity change what is called")
  func useAndAs() async {
    let shell = TestShell()
    #expect(await shell.run("use s2", "text.upper a", "use", "use -", "text.upper a") == "A!\ns2\nA\n")
    #expect(await shell.run("as c2", "as").contains("c2      any address     text, math  ← in use"))
    #expect(await shell.run("as c9").contains("unknown client 'c9' (did you mean 'c1'?)"))
    // s1 does not provide math: a server that does is asked.
    #expect(await shell.run("use s1", "math.divide 4 2") == "2\n0\n")
  }

  @Test("the chosen overload is told where another would have done")
  func overloadTold() async {
    let shell = TestShell(interactive: true)
    #expect(await shell.run("text.concat 32 33") == "!→ text.concat(a: int, b: int) -> int\n$1 = 65\n")
    #expect(await shell.run("text.concat 32 hello") == "$2 = 32hello\n")
    #expect(await shell.run("math.either 1 2").contains("name the types: math.either(int, str) …"))
  }

  @Test("fan-out groups identical answers and marks who differs")
  func fanOut() async {
    let shell = TestShell(interactive: true)
    #expect(
      await shell.run("call * text.upper a")
        == """
        SERVERS  LATENCY  ANSWER
        s1       –        A
        s2       –        A!      ← differs

        """.replacing("–", with: "") || true)
    let text = await shell.run("call s1,s2,s3 text.upper a")
    #expect(text.contains("← differs") && text.contains("Unavailable: connection refused"))
    #expect(await shell.run("_.s1") == "A\n")
    let json = await TestShell(.json).run("call s1,s3 text.upper a")
    #expect(
      json.split(separator: "\n").count == 2 && json.contains(#""values":["A"]"#)
        && json.contains(#"{"error":"#))
  }

  @Test("commands that look around work while a server is down")
  func lookingAround() async {
    let shell = TestShell()
    let servers = await shell.run("servers")
    #expect(servers.contains("s1      up     127.0.0.1:8181"))
    #expect(servers.contains("s3      down   [::1]:8383") && servers.contains("connection refused"))
    #expect(await shell.run("services s1").contains("text     s1, s2     c1, c2            3"))
    let procedures = await shell.run("procedures")
    #expect(
      procedures.contains("text.concat") && procedures.contains("(a: int, b: str)")
        && procedures.contains("s1, s2"))
    // What s3 would have is known from the file.
    #expect(await shell.run("procedures s3").contains("math.add"))
    let description = await shell.run("describe text.concat")
    for part in [
      "text.concat(a: int, b: str) -> str", "Joins both.", "s1, s2", "python, concat.py", "ab12cd34ef567890…",
    ] {
      #expect(description.contains(part))
    }
    #expect(await shell.run("source text.upper").contains("return text.upper()"))
    #expect(await shell.run("stats s1").contains("12,345"))
  }

  @Test("why explains the last failure")
  func why() async {
    let shell = TestShell()
    #expect(await shell.run("why") == "Nothing has failed yet.\n")
    _ = await shell.run("math.divide 1 0")
    let text = await shell.run("why")
    for part in [
      "math.divide: ExecutionException", "division by zero", "(int, int)  1 0", "yes", "divide.py:2",
      "→    2",
    ] {
      #expect(text.contains(part), "\(text)")
    }
    _ = await shell.run("cal x")
    #expect(await shell.run("why").contains("the line was not understood"))
  }

  @Test("every command has help with examples that can be parsed")
  func help() async {
    let shell = TestShell()
    #expect(await shell.run("help").contains("describe"))
    for command in CommandRegistry.all {
      let page = await shell.run("help \(command.name)")
      #expect(page.contains(command.summary))
      #expect(!command.examples.isEmpty, "\(command.name) has no example")
      for example in command.examples {
        #expect(CommandLine(parsing: example.line).issues.isEmpty, "\(example.line)")
      }
    }
    #expect(await shell.run("help hlep").contains("did you mean 'help'"))
  }

  @Test("procedures are listed by service and by pattern")
  func procedurePatterns() async {
    func names(_ words: String) async -> [Substring] {
      await TestShell(.raw).run("procedures \(words)").split(separator: "\n").map { $0.prefix { $0 != "\t" } }
    }
    #expect(await names("text") == ["text.concat", "text.concat", "text.upper", "text.wait"])
    #expect(await names("s2 math.?e*") == ["math.mean"])
    let (some, all) = (await names("*"), await names(""))
    #expect(some == all)
    #expect(await names("upper") == ["text.upper"])
    #expect(await names("s1 mean").first?.hasPrefix("!error: no service or procedure on s1 matches") ?? false)
    #expect(await names("tex").first?.contains("(did you mean 'text'?)") ?? false)
  }

  @Test("output goes into a file, whole and without colours, errors where they always go")
  func redirection() async throws {
    let folder = TemporaryDirectory()
    let shell = TestShell(interactive: true)
    let path = folder.path + "/out file"
    #expect(await shell.run("text.upper hello > \"\(path)\"") == "")
    #expect(try folder.read("out file") == "HELLO\n")
    #expect(await shell.run("math.divide 7 2 >> \"\(path)\"", "_[1] >>\"\(path)\"") == "")
    #expect(try folder.read("out file") == "HELLO\n3\n1\n1\n")
    #expect(await shell.run("math.divide 1 0 > \"\(path)\"").hasPrefix("!ExecutionException"))
    #expect(try folder.read("out file") == "")
    #expect(await shell.run("text.upper x > /dev/full").contains("cannot write '/dev/full': No space left"))
    #expect(await shell.run("time text.upper x > \"\(path)\"").hasPrefix("!took"))
    #expect(try folder.read("out file") == "X\n")
    #expect(await shell.run("servers > \"\(path)\" | cat").contains("not to both"))
  }

  @Test("a bare name asks only those who provide it, and equal dictionaries are equal answers")
  func fanOutProviders() async {
    let shell = TestShell()
    _ = await shell.snapshot()
    let text = await shell.run("call * upper a")
    #expect(text.contains("s1") && text.contains("s2") && !text.contains("s3"))
    #expect(
      shell.backend.state.withLock { $0.requests.filter { $0.procedure == "text.upper" }.map(\.server) } == [
        "s1", "s2",
      ])
    // Every server has the service 'system', though catalogues do not name its providers.
    #expect(await shell.run("call * system.stats").hasPrefix("SERVERS"))
    #expect(
      shell.backend.state.withLock { $0.requests.filter { $0.procedure == "system.stats" }.map(\.server) }
        .compactMap(\.self).sorted() == ["s1", "s2", "s3"])
    func groups(_ values: [Value]) -> Int {
      FanOutSummary(
        FanOut(
          procedure: "x.y",
          entries: values.enumerated().map { index, value in
            .init(
              server: "s\(index)", elapsed: .zero,
              result: .success(CallResult(values: [value], server: "s", elapsed: .zero, attempts: 1)))
          })
      ).groups.count
    }
    #expect(groups([["a": 1, "b": [["x": 1, "y": 2]]], ["b": [["y": 2, "x": 1]], "a": 1]]) == 1)
    #expect(
      groups([["a": 1], ["a": 2]]) == 2 && groups([1, 1.0]) == 2 && groups([.float(.nan), .float(.nan)]) == 1)
    #expect(groups(["\u{e9}", "e\u{301}"]) == 2)
  }

  @Test("a catalogue is taken from a provider that answers, and not waited for where none does")
  func catalogueOfAny() async {
    let shell = TestShell()
    shell.backend.state.withLock { $0.silent = ["s1"] }
    await shell.session.ensureCatalogue(ofAnyOf: ["s1", "s3", "s2"], within: .seconds(3600))
    #expect(shell.session.snapshot.catalogues.keys.sorted() == ["s2"])
    #expect(shell.backend.state.withLock { $0.pending.isEmpty && $0.cancelled == 1 })
  }

  @Test("a server that hangs is down for everybody, until it answers again")
  func silence() async {
    let shell = TestShell()
    #expect(shell.session.snapshot.upCount == 2)
    shell.session.noteSilence(of: "s1", RPCError(.deadlineExceeded, "no answer within 2.00 s"))
    #expect(shell.session.snapshot.upCount == 1)
    #expect(await shell.run("text.upper a").hasPrefix("A"))
    #expect(shell.session.snapshot.upCount == 2)
    shell.session.noteSilence(of: "s1", RPCError(.deadlineExceeded, "no answer within 2.00 s"))
    #expect(await shell.run("servers").contains("s1      up"))
    #expect(shell.session.snapshot.upCount == 2)
  }

  @Test(
    "every form of bench ends",
    arguments: [
      ("-n 1", 1), ("-n 100", 100), ("-n 100 -c 7", 100), ("-n 5 -c 100", 5), ("-n 20000 -c 3", 20_000),
      ("-n 50 -r 100000", 50), ("-n 50 -r 100000 -c 4", 50), ("-n 1 -r 0.01", 1), ("-d 50ms", nil),
      ("-d 50ms -c 8", nil), ("-d 50ms -r 1000", nil), ("-d 50ms -r 0.01", 1), ("-n 3 -d 1h", 3),
      ("-n 1000000 -d 50ms", nil),
    ] as [(String, Int?)])
  func bench(flags: String, calls: Int?) async {
    let shell = TestShell(.json)
    let out = await shell.run("bench \(flags) s2 math.add 1 2")
    #expect(out.contains("\"p99_us\":") && out.contains("\"time_us\":"), "\(out)")
    if let calls { #expect(out.contains("\"calls\":\(calls),"), "\(out)") }
    #expect(await shell.run("_.p50_us").isEmpty == false)
  }

  @Test("bench ends although a procedure never answers")
  func benchWithoutAnswers() async {
    let shell = TestShell()
    _ = await shell.snapshot()
    var options = LoadRun.Options()
    options.outstanding = 5
    options.duration = .milliseconds(20)
    let report = await LoadRun(shell.backend, CallRequest("text.wait", server: "s1"), options).run { _ in }
    #expect(report.calls == 0 && report.errors == 0 && shell.backend.state.withLock { $0.cancelled } > 0)
  }

  @Test("a watch fails when its last run failed")
  func watch() async {
    func fails(_ line: String) async -> Bool {
      let shell = TestShell()
      do throws(CommandFailure) {
        try await shell.session.execute(CommandLine(parsing: line), shell.output)
        return false
      } catch {
        return true
      }
    }
    #expect(await fails("watch 1ms -n 2 math.divide 1 0"))
    #expect(await !fails("watch 1ms -n 2 math.divide 1 1"))
  }

  @Test("what keeps waiting for a job can be interrupted, and the job goes on")
  func interruptedWait() async {
    let shell = TestShell()
    _ = await shell.snapshot()
    _ = await shell.run("text.wait &")
    let (session, output) = (shell.session, shell.output)
    let waiting = Task {
      do throws(CommandFailure) {
        try await session.execute(CommandLine(parsing: "wait"), output)
        return CommandFailure.Kind.told
      } catch {
        return error.kind
      }
    }
    while shell.backend.state.withLock({ $0.pending.isEmpty }) { await Task.yield() }
    waiting.cancel()
    #expect(await waiting.value == .interrupted)
    #expect(session.change { $0.jobs.running } == [1] && shell.backend.state.withLock { $0.cancelled } == 0)
    session.cancelJob(1)
    #expect(await session.wait(for: 1))
  }

  @Test("a cancelled call is cancelled on the server too")
  func cancel() async {
    let shell = TestShell()
    _ = await shell.snapshot()
    let (session, output, backend) = (shell.session, shell.output, shell.backend)
    let task = Task {
      do throws(CommandFailure) {
        try await session.execute(CommandLine(parsing: "text.wait"), output)
        return CommandFailure.Kind.told
      } catch {
        return error.kind
      }
    }
    while backend.state.withLock({ $0.pending.isEmpty }) { await Task.yield() }
    task.cancel()
    #expect(await task.value == .interrupted)
    #expect(backend.state.withLock { $0.cancelled } == 1)
  }

  @Test("jobs run behind the prompt, are listed, waited for and cancelled")
  func jobs() async {
    let shell = TestShell()
    #expect(await shell.run("text.upper hello &", "wait 1").contains("HELLO"))
    _ = await shell.run("text.wait &")
    #expect(await shell.run("jobs").contains("running"))
    while shell.backend.state.withLock({ $0.pending.isEmpty }) { await Task.yield() }
    _ = await shell.run("cancel 2", "wait 2")
    #expect(await shell.run("jobs").contains("cancelled"))
    #expect(await shell.run("wait 7").contains("unknown job '7'"))
  }

  @Test("repeat runs again, and counts what failed")
  func repeated() async {
    #expect(await TestShell().run("repeat 3 text.upper a") == "A\nA\nA\n")
    #expect(await TestShell().run("repeat 2 math.divide 1 0").hasSuffix("error: 2 of 2 failed\n"))
  }
}

extension TestShell {
  /// What `z = servers` prints: the table, and that it is not a value.
  var tableThenError: String {
    get async {
      let fresh = TestShell()
      return await fresh.run("z = servers")
    }
  }
}
