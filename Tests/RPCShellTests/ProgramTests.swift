import Glibc
import RPCSystem
import RPCWire
import TestSupport
import Testing

@testable import RPCShell

/// The built program on standard input, -c and -f, against a real server.
@Suite(.serialized) struct ProgramTests {
  static let network = Swift.Result { try LiveNetwork() }

  private func run(_ arguments: [String], input: String? = nil) throws -> LiveNetwork.Result {
    try Self.network.get().run(arguments, input: input)
  }

  @Test(
    "exit codes tell what happened",
    arguments: [
      (["-c", "text.upper a"], "A\n", 0), (["-c", "text.fail boom"], "", 66),
      (["-c", "call s1 text.nosuch 1"], "", 69),
      (["-c", "call s1 nosuch.rpc"], "", 69), (["-c", "call s1 text.upper [1]"], "", 67),
      (["-c", "call gone text.upper a"], "", 78),
      (["-c", "call -t 50ms s1 text.wait 5000"], "", 68), (["-c", "nonsense"], "", 1),
      (["-c", "text.upper a", "-c", "text.fail x"], "A\n", 1),
      (["-c", "text.fail x", "-c", "text.upper a"], "A\n", 1),
      (["-e", "-c", "text.fail x", "-c", "text.upper a"], "", 3),
      (["-c", "\"abc"], "", 1), (["-t", "abc", "-c", "help"], "", 2), (["-t", "0", "-c", "help"], "", 2),
      (["-t", "50ms", "-c", "s1 text.wait 5000"], "", 68), (["-t", "1m", "-c", "text.upper a"], "A\n", 0),
      // What is wrong is found before anything runs.
      (["-c", "text.upper a", "-f", "/nonexistent"], "", 2), (["-c", "text.upper a", "-f", "/"], "", 2),
      (["-f", "-", "-c", "text.upper a", "-f", "-"], "", 2),
      (["-c", "text.upper a", "-H", "nocolon"], "", 2),
      (["-f", "/nonexistent"], "", 2), (["-o", "yaml", "-c", "help"], "", 2),
      (["--as", "nobody", "-c", "help"], "", 2),
      (["--nonsense"], "", 2), (["-c", ""], "", 0), (["-c", "quit", "-c", "text.upper a"], "", 0),
      ([], "", 0),
      (["-c", "text.upper a &", "-c", "text.upper b &"], nil, 0), (["-c", "text.fail x &"], "", 1),
    ] as [([String], String?, Int32)])
  func exitCodes(arguments: [String], out: String?, status: Int32) throws {
    let result = try run(arguments)
    #expect(result.status == status, "\(result)")
    if let out { #expect(result.out == out) }
    #expect(status == 0 || !result.err.isEmpty)
  }

  @Test("a script on standard input: results on one channel, errors with their line on the other")
  func standardInput() throws {
    let result = try run(
      [],
      input:
        "# a script\ntext.concat 32 hello\ntext.concat 32 33 -- and a comment\ntext.fail boom\n\nx = math.add 1 2\nmath.add $x $x"
    )
    #expect(
      result == .init(out: "32hello\n65\n3\n6\n", err: "stdin:4: ExecutionException: boom\n", status: 1))
    let stopped = try run(["-e", "-"], input: "text.upper a\nnonsense\ntext.upper b\n")
    #expect(
      stopped.out == "A\n" && stopped.status == 3 && stopped.err.hasPrefix("stdin:2: error: unknown command"))
  }

  @Test("-c and -f run in the order given")
  func order() throws {
    let folder = try Self.network.get().folder
    try folder.write("text.upper one\n", to: "one.rpc")
    try folder.write("text.upper two\n", to: "two.rpc")
    let arguments = [
      "-f", folder.path + "/two.rpc", "-c", "text.upper a", "--file", folder.path + "/one.rpc", "-c",
      "text.upper b",
      "-f", "-",
    ]
    #expect(try run(arguments, input: "text.upper stdin\n").out == "TWO\nA\nONE\nB\nSTDIN\n")
    #expect(try run(["-c", "text.upper c", folder.path + "/one.rpc"]).out == "C\nONE\n")
  }

  @Test("settings hold for the rest of a script")
  func settings() throws {
    #expect(
      try run(["-c", "set output json", "-c", "text.rows 1"]).out.contains(
        #""values":[[{"number":0,"text":"item 0"}]]"#))
    let expanded = try run([], input: "set expanded on\ntext.rows 1\nset expanded off\ntext.rows 1\n")
    #expect(expanded.out.hasSuffix("NUMBER  TEXT\n     0  item 0\n"))
    #expect(expanded.out.ranges(of: "NUMBER  TEXT").count == 1 && expanded.out.contains("text    item 0"))
    #expect(try run([], input: "set color on\nnonsense\n").err.contains("\u{1b}["))
  }

  @Test("an open quote at the start of a script's last command is an error, not silence")
  func swallowed() throws {
    let result = try run([], input: "text.upper a\n\"abc\ntext.upper b\n")
    #expect(result == .init(out: "A\n", err: "stdin:2: error: the quote (\") is never closed\n", status: 1))
  }

  @Test("three thousand lines into a reader of one end quietly, and the server serves on")
  func headOfMany() throws {
    let network = try Self.network.get()
    try network.folder.write(String(repeating: "text.wait 1\n", count: 3000), to: "naps")
    let program = try Built.program("rpc-client")
    for _ in 0..<3 {
      let command =
        "'\(program)' --config '\(network.config)' < '\(network.folder.path)/naps' 2> '\(network.folder.path)/err' | head -1 > '\(network.folder.path)/out'"
      #expect(try ChildProcess.start(["/bin/sh", "-c", command]).wait() == 0)
      #expect(try network.folder.read("out") == "1\n" && network.folder.read("err") == "")
    }
    #expect(try run(["-c", "call -t 10s text.wait 1"]).out == "1\n")
  }

  @Test(
    "every form of bench ends",
    arguments: ["-n 1", "-n 100", "-n 20 -c 50", "-n 20 -r 5000", "-d 50ms", "-d 50ms -r 0.1"])
  func benchEnds(flags: String) throws {
    let result = try run(["--json", "-c", "bench \(flags) system.ping"])
    #expect(result.status == 0 && result.out.contains("\"p99_us\":"), "\(result)")
  }

  @Test("errors name the server that gave them")
  func errorsNameTheirServer() throws {
    for (line, server) in [
      ("text.fail x", "s1"), ("call gone text.upper a", "gone"), ("call -t 20ms text.wait 5000", "s1"),
    ] {
      let result = try run(["--json", "-c", line])
      #expect(result.out.contains("\"server\":\"\(server)\""), "\(result)")
    }
    let why = try run([], input: "text.fail x\nwhy\n")
    #expect(
      why.out.split(separator: "\n").contains { $0.hasPrefix("  server") && $0.hasSuffix("s1") }, "\(why)")
  }

  @Test("JSON says the unit of each number that has one")
  func units() throws {
    let servers = try run([
      "--json", "-c", "servers", "-c", "ping -n 1 s1", "-c", "text.upper a &", "-c", "wait", "-c", "jobs",
    ]).out
    for key in ["round_trip_us", "fastest_us", "median_us", "slowest_us", "time_us", "elapsed_us"] {
      #expect(servers.contains("\"\(key)\":"), "\(key): \(servers)")
    }
  }

  @Test("what cannot be read says its size and the limit")
  func tooLarge() throws {
    let network = try Self.network.get()
    let path = network.folder.path + "/huge"
    let descriptor = open(path, O_WRONLY | O_CREAT, 0o644)
    #expect(ftruncate(descriptor, off_t(ShellLimits.fileBytesMax + 1)) == 0)
    close(descriptor)
    let wanted = "it has 16,777,217 bytes, the limit is 16,777,216"
    #expect(try run(["-c", "text.upper @\(path)"]).err.contains(wanted))
    #expect(try run(["-c", "replay --check \(path)"]).err.contains(wanted))
  }

  @Test("drift says why a server could not be compared")
  func drift() throws {
    let result = try run(["--json", "-c", "drift"])
    #expect(result.status == 1 && !result.out.contains("\"reason\":null"), "\(result)")
  }

  @Test("a script in a file, and one that runs another")
  func scriptFiles() throws {
    let folder = try Self.network.get().folder
    try folder.write("text.upper inner\ntext.fail oops\n", to: "inner.rpc")
    try folder.write(
      "text.upper before\nsource \(folder.path)/inner.rpc\ntext.upper after\n", to: "outer.rpc")
    let result = try run(["-f", folder.path + "/outer.rpc"])
    #expect(result.out == "BEFORE\nINNER\nAFTER\n" && result.status == 1)
    #expect(result.err.contains("\(folder.path)/inner.rpc:2: ExecutionException: oops"))
    #expect(
      result.err.contains(
        "\(folder.path)/outer.rpc:2: error: 1 of 2 commands in \(folder.path)/inner.rpc failed"))
    try folder.write("source \(folder.path)/loop.rpc\n", to: "loop.rpc")
    #expect(try run(["-f", folder.path + "/loop.rpc"]).err.contains("scripts run scripts 16 deep"))
  }

  @Test("values come from files and standard input, and survive exactly")
  func values() throws {
    let folder = try Self.network.get().folder
    try folder.write("from a file", to: "data.txt")
    #expect(try run(["-c", "text.upper @\(folder.path)/data.txt"]).out == "FROM A FILE\n")
    #expect(try run(["-c", "text.upper -"], input: "from stdin").out == "FROM STDIN\n")
    #expect(
      try run([], input: "text.upper -\n").err
        == "stdin:1: error: '-' cannot be read: standard input is the script itself\n")
    let big = String(repeating: "é", count: 1 << 19)
    try folder.write(big, to: "big.txt")
    #expect(try run(["-c", "text.upper @\(folder.path)/big.txt"]).out == big.uppercased() + "\n")
    #expect(try run([], input: "text.upper \"\(big)\"").out == big.uppercased() + "\n")
  }

  @Test("pipes, programs and output formats")
  func formats() throws {
    #expect(try run(["-c", "text.upper hello | tr A-Z a-z"]).out == "hello\n")
    #expect(try run(["-c", "text.lines 5 | head -c 9"]).out == "[\"line 1\"")
    #expect(try run([], input: "!echo from sh\n!cat\ntext.upper a\n").out == "from sh\nA\n")
    #expect(try run(["-c", "!exit 3"]).status == 1)
    let json = try run(["--json", "-c", "text.upper a", "-c", "text.fail x"])
    #expect(json.out.split(separator: "\n").count == 2 && json.err.isEmpty && json.status == 1)
    #expect(json.out.hasPrefix(#"{"procedure":"text.upper","server":"s1","values":["A"],"elapsed_us":"#))
    #expect(try run(["-o", "raw", "-c", "servers"]).out.hasPrefix("s1\tup\t127.0.0.1:"))
    #expect(try !run(["-c", "servers"]).out.contains("\u{1b}"))
    #expect(try run(["--color", "always", "-c", "servers"]).out.contains("\u{1b}["))
  }

  @Test("a list of dictionaries is rows in a pipe: one line each, whole, without blanks at their ends")
  func rows() throws {
    let output = try run(["-c", "text.rows 300"]).out
    let lines = output.split(separator: "\n", omittingEmptySubsequences: false)
    #expect(lines.count == 302 && lines.last == "" && lines.allSatisfy { $0.last != " " })
    #expect(lines.filter { $0.contains("item 12") }.count == 11)
    #expect(lines.filter { $0.hasSuffix("item 12") } == ["    12  item 12"])
    #expect(try run(["-c", "text.rows 300 | cat"]).out == output)
    #expect(try run([], input: "text.rows 300\n").out == output)
    let raw = try run(["-o", "raw", "-c", "text.rows 1"]).out
    #expect(raw == #"[{"number":0,"text":"item 0"}]"# + "\n")
    #expect(try run(["--json", "-c", "text.rows 1"]).out.contains(#""values":[[{"number":0,"#))
  }

  @Test("a file that is wrong is told completely, and nothing is asked")
  func brokenFile() throws {
    let network = try Self.network.get()
    try network.folder.write(
      "network:\n  servers:\n    - s1: {ip: 127.0.0.1}\nservice:\n  - a: {providers: [s9], tenants: [], rpcs: []}\n",
      to: "broken.yaml")
    let broken = try network.run(["-c", "servers"], config: network.folder.path + "/broken.yaml")
    #expect(broken.status == 2 && broken.out.isEmpty)
    #expect(broken.err.contains("broken.yaml:3:") && broken.err.contains("'s9'"))
    let missing = try network.run(["-c", "servers"], config: "/nowhere/init.yaml")
    #expect(missing.status == 2 && missing.err.contains("name the file with --config FILE"))
  }

  @Test("ten thousand calls from a pipe are answered in order")
  func manyCalls() throws {
    let lines = (0..<10_000).map { "math.add \($0) 1\n" }.joined()
    let result = try run([], input: lines)
    #expect(result.status == 0)
    #expect(result.out == (1...10_000).map { "\($0)\n" }.joined())
  }

  @Test("a reader that has enough ends the program quietly")
  func brokenPipe() throws {
    let network = try Self.network.get()
    try network.folder.write((0..<20_000).map { "math.add \($0) 1\n" }.joined(), to: "many")
    let program = try Built.program("rpc-client")
    let command =
      "'\(program)' --config '\(network.config)' -f '\(network.folder.path)/many' 2> '\(network.folder.path)/err' | head -1 > '\(network.folder.path)/out'"
    #expect(try ChildProcess.start(["/bin/sh", "-c", command]).wait() == 0)
    #expect(try network.folder.read("out") == "1\n")
    #expect(try network.folder.read("err") == "")
    // Also where the script never ends.
    let endless =
      "yes 'math.add 1 2' | timeout 20 '\(program)' --config '\(network.config)' | head -1 >/dev/null; exit ${PIPESTATUS[1]}"
    #expect(try ChildProcess.start(["/bin/bash", "-c", endless]).wait() == 141)
  }

  @Test("an interrupted script says so once, however many calls were in flight")
  func interrupted() async throws {
    let network = try Self.network.get()
    let program = try Built.program("rpc-client")
    let before = network.calls.counts
    let child = try ChildProcess.start([
      "/bin/bash", "-c",
      "exec '\(program)' --config '\(network.config)' 2>'\(network.folder.path)/err' < <(yes 'text.wait 60000' | head -20)",
    ])
    #expect(await network.calls.wait { $0.started >= before.started + 20 })
    kill(child.id, SIGINT)
    #expect(await child.ended() == 130)
    #expect(await network.calls.wait { $0.cancelled >= before.cancelled + 20 })
    #expect(
      try network.folder.read("err")
        == "stdin: Interrupted: 20 calls were cancelled, and may have been executed\n")
  }

  @Test("results that cannot be written are a failure")
  func fullDisk() throws {
    let network = try Self.network.get()
    let program = try Built.program("rpc-client")
    let command =
      "'\(program)' --config '\(network.config)' -c 'text.upper a' >/dev/full 2>'\(network.folder.path)/err'"
    #expect(try ChildProcess.start(["/bin/sh", "-c", command]).wait() == 1)
    #expect(
      try network.folder.read("err")
        == "rpc-client: cannot write to standard output: No space left on device\n")
  }

  @Test(
    "nonsense gives short, kind errors",
    arguments: ["text.upper \"open", "\u{1}\u{2}\u{3}", "((((", "= =", "| wc", "call", "[1,", "-"])
  func nonsense(line: String) throws {
    let result = try run([], input: line)
    #expect(result.status == 1 && result.out.isEmpty)
    #expect(!result.err.isEmpty && result.err.utf8.count < 400, "\(result.err)")
  }

  @Test("a line of a megabyte and one that is not text are refused kindly")
  func largeNonsense() throws {
    let long = try run([], input: String(repeating: "x", count: 1 << 20) + "\ntext.upper after\n")
    #expect(long.out == "AFTER\n" && long.err.utf8.count < 400 && long.status == 1)
    let network = try Self.network.get()
    let command =
      "printf 'text.upper \\377\\376\\ntext.upper after\\n' | '\(try Built.program("rpc-client"))' --config '\(network.config)' > '\(network.folder.path)/o' 2> '\(network.folder.path)/e'"
    _ = try ChildProcess.start(["/bin/sh", "-c", command]).wait()
    #expect(try network.folder.read("o") == "AFTER\n")
    #expect(try network.folder.read("e") == "stdin:1: error: this line is not UTF-8 text\n")
  }

  @Test("a session is recorded, and the recording checked")
  func recordAndReplay() throws {
    let folder = try Self.network.get().folder
    let path = folder.path + "/session.rpc"
    let script = "record \(path)\nmath.add 1 2\ntext.fail boom\nx = text.upper a\nrecord stop\nmath.add 5 5\n"
    #expect(try run([], input: script).out == "3\nA\n10\n")
    let text = try folder.read("session.rpc")
    #expect(
      text.contains("math.add 1 2\n#= 3\n#< ")
        && text.contains("text.fail boom\n#! ExecutionException: boom\n"))
    #expect(text.contains("x = text.upper a\n#= \"A\"") && !text.contains("5 5"))
    let good = try run(["-c", "replay --check \(path)"])
    #expect(good == .init(out: "all 3 commands as recorded\n", err: "", status: 0))
    try folder.write(text.replacing("#= 3", with: "#= 4"), to: "changed.rpc")
    let bad = try run(["-c", "replay --check \(folder.path)/changed.rpc"])
    #expect(bad.status == 1 && bad.out.contains("expected 4, got 3"))
    #expect(try run(["-c", "record \(path)"]).err.contains("File exists"))
    // A recording is for its owner alone, and holds no secrets.
    var status = stat()
    #expect(stat(path, &status) == 0 && status.st_mode & 0o777 == 0o600)
    let secret = folder.path + "/secret.rpc"
    _ = try run(
      [],
      input: "record \(secret)\nmath.add 1 2\n text.upper hidden\npassword = text.upper hush\nrecord stop\n")
    let kept = try folder.read("secret.rpc")
    #expect(kept.contains("math.add 1 2") && !kept.contains("hidden") && !kept.contains("hush"))
    // One without expectations checks nothing.
    try folder.write("math.add 1 2\n# a comment\n", to: "plain.rpc")
    let nothing = try run(["-c", "replay --check \(folder.path)/plain.rpc"])
    #expect(nothing.status == 1 && nothing.err.contains("has nothing to check") && nothing.out.isEmpty)
    try folder.write("math.add 1 2\n#= 3\nmath.add 1 2\n", to: "half.rpc")
    #expect(
      try run(["-c", "replay --check \(folder.path)/half.rpc"]).out
        == "1 of 2 commands say what to expect, all as recorded\n")
  }

  @Test("bench tells percentiles and keeps them as a result")
  func bench() throws {
    let result = try run(
      [], input: "bench -n 200 -c 10 s1 math.add 1 2\n_.calls\nbench -r 500 -d 200ms math.add 1 2\n")
    #expect(result.status == 0)
    for part in ["math.add on s1", "p99.9", "10 in flight", "\n200\n", "500 begun per second"] {
      #expect(result.out.contains(part), "\(result.out)")
    }
  }
}
