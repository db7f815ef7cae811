import RPCTransport
import RPCWire
import Synchronization
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
      ("call s9 text.upper x", "!error: there is no server 's9' (did you mean 's1'?)\n"),
      ("call s3 math.add 1 2", "!Unavailable: connection refused\n"),
      ("call text.uper x", "!RPCNotFound: there is no 'text.uper'\n"),
      ("call nosuch 1", "!error: no service has a procedure 'nosuch'\n"),
      (
        "text.upper [1]",
        "!InvalidArguments: no overload of text.upper takes these: text.upper(text: str) -> str\na list is not a str for 'text'\n"
      ),
      ("text.upper \"x", "!error: the quote (\") is never closed\n"),
      ("call", "!error: SERVICE.RPC is missing: usage: call [-t TIME] [SERVERS] SERVICE.RPC [ARG…]\n"),
      ("servers x", "!error: unexpected 'x': usage: servers\n"),
      ("call -x s1 text.upper a", "!error: call has no flag -x (did you mean '-t'?)\n"),
      ("set timeout abc", "!error: timeout is a time such as 500ms or 30s, or none, not 'abc'\n"),
      (
        "set zzzz 1",
        "!error: SETTING is one of color, hints, output, pager, pipeline, retry, slow, timeout, not 'zzzz'\n"
      ),
      ("_", "!error: there is no result yet for '_'\n"),
      ("use s2x", "!error: there is no server 's2x' (did you mean 's2'?)\n"),
      ("text.upper x | tr X Y", ""), ("", ""), ("# nothing", ""),
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
    #expect(await shell.run("as c9").contains("no client 'c9' is registered (did you mean 'c1'?)"))
    // s1 does not provide math: whoever does is asked.
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

  @Test("a cancelled call is cancelled on the server too")
  func cancel() async {
    let shell = TestShell()
    _ = await shell.knowledge()
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
    #expect(await shell.run("wait 7").contains("there is no job '7'"))
  }

  @Test("repeat runs again, and counts what failed")
  func repeated() async {
    #expect(await TestShell().run("repeat 3 text.upper a") == "A\nA\nA\n")
    #expect(await TestShell().run("repeat 2 math.divide 1 0").hasSuffix("error: 2 of 2 failed\n"))
  }
}

extension TestShell {
  /// What `z = servers` prints: the table, and that it is no value.
  var tableThenError: String {
    get async {
      let fresh = TestShell()
      return await fresh.run("z = servers")
    }
  }
}
