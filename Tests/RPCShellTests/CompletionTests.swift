import RPCClient
import RPCWire
import TestSupport
import Testing

@testable import RPCShell

@Suite struct CompletionTests {
  init() { Terminal.chooseLocale() }

  /// All catalogues known, some results and variables there.
  private static func snapshot() async -> NetworkSnapshot {
    let shell = TestShell()
    var snapshot = await shell.snapshot()
    snapshot.variables.append(7)
    snapshot.variables.append(["a", "b"])
    snapshot.variables.append("text")
    snapshot.variables.bind("count", to: 3)
    snapshot.variables.bind("name", to: "x")
    snapshot.jobs = [2]
    return snapshot
  }

  @Test(
    "the texts that can stand at the cursor",
    arguments: [
      ("hel", ["help"]), ("pro", ["procedures"]), ("w", ["wait", "watch", "why", "text.wait"]),
      ("ma", ["math.add", "math.divide", "math.either", "math.flag", "math.mean"]),
      ("up", ["text.upper"]), ("use ", ["s1", "s2", "s3"]), ("as ", ["c1", "c2"]), ("as c1", ["c1"]),
      ("call s1 te", ["text.concat", "text.upper", "text.wait"]), ("call s1 ma", []),
      ("call s3 math.a", ["math.add"]),
      ("call s1,", ["s1,s2", "s1,s3"]), ("call -", ["-t", "--timeout"]), ("bench --r", ["--rate"]),
      ("bench -c 10 s2 math.ad", ["math.add"]),
      ("time call s1 tex", ["text.concat", "text.upper", "text.wait"]), ("repeat 3 tim", ["time"]),
      ("x = math.ad", ["math.add"]),
      ("watch 2s ser", ["servers", "services"]), ("help wh", ["why"]), ("set ti", ["timeout"]),
      ("set output j", ["json"]), ("cancel ", ["2"]),
      ("text.concat(", ["text.concat(int, str)", "text.concat(int, int)"]),
      ("math.flag ", ["true", "false", "on=", "data="]),
      ("math.flag t", ["true"]), ("math.flag true N", ["None"]), ("math.flag on=f", ["false"]),
      ("math.add $", ["$count", "$1"]),
      ("text.upper $n", ["$name"]), ("text.upper _", ["_"]), ("math.add 1 $c", ["$count"]),
      ("math.add [1, $c", ["$count"]), ("$co", ["$count"]),
      ("nosuch ", []), ("call math.nosuch ", []), ("describe text.c", ["text.concat"]),
      ("describe s2 math.me", ["math.mean"]),
      ("text.upper \"te", []), ("math.add 1 2 ", []),
    ] as [(String, [String])])
  func candidates(text: String, expected: [String]) async {
    #expect(Completion.complete(text, await Self.snapshot()).texts == expected)
  }

  @Test("what replaces the partial word starts where the word does")
  func start() async {
    let snapshot = await Self.snapshot()
    #expect(Completion.complete("call s1 te", snapshot).start == 8)
    #expect(Completion.complete("math.flag on=f", snapshot).start == 13)
    #expect(Completion.complete("日本 = math.ad", snapshot).start == 9)
    #expect(Completion.complete("call s1 te", snapshot).commonPrefix == "text.")
  }

  @Test("overloads are listed with their signatures, under one name")
  func overloads() async {
    let completion = Completion.complete("text.conc", await Self.snapshot())
    #expect(completion.texts == ["text.concat"])
    #expect(completion.candidates.map(\.detail) == ["(a: int, b: str) -> str", "(a: int, b: int) -> int"])
  }

  @Test("files complete after @, source and !, with spaces quoted")
  func files() async throws {
    let folder = TemporaryDirectory()
    try folder.write("1", to: "one.txt")
    try folder.write("2", to: "two words.txt")
    try folder.makeDirectory("sub")
    let snapshot = await Self.snapshot()
    #expect(
      Completion.complete("text.upper @\(folder.path)/o", snapshot).texts == ["@\(folder.path)/one.txt"])
    #expect(
      Completion.complete("text.upper @\(folder.path)/tw", snapshot).texts == [
        "@\"\(folder.path)/two words.txt\""
      ])
    #expect(
      Completion.complete("text.upper @\"\(folder.path)/two w", snapshot).texts == [
        "@\"\(folder.path)/two words.txt\""
      ])
    #expect(Completion.complete("!cat \(folder.path)/o", snapshot).texts == ["\(folder.path)/one.txt"])
    let sub = Completion.complete("source \(folder.path)/s", snapshot)
    #expect(sub.texts == ["\(folder.path)/sub/"] && !sub.candidates[0].isWhole)
  }

  @Test(
    "hints tell what comes next, and what is wrong before Enter",
    arguments: [
      ("", nil), ("call", " [-t TIME] [SERVERS] SERVICE.RPC [ARG…]"), ("call ", "[SERVERS] SERVICE.RPC"),
      ("call s1 ", "SERVICE.RPC"),
      ("math.add", " a: int  b: int  → int"), ("math.add ", "a: int  b: int  → int"),
      ("math.add 1", " b: int  → int"),
      ("math.add 1 ", "b: int  → int"), ("math.add 1 2", " → int"), ("math.add b=1 ", "a: int  → int"),
      ("text.concat 32 ", "b: str  → str  |  b: int  → int"), ("text.concat 32 x", " → str"),
      ("call s1 text.upper", " text: str  → str"),
      ("math.add x", "!  x is not an int for 'a'"), ("math.add 1 x ", "!x is not an int for 'b'"),
      ("math.add -", " b: int  → int"),
      ("math.add 1 2 3", "!  too many arguments: add takes 2"),
      ("math.add 1 c=3 ", "!unknown argument 'c' (did you mean 'a'?)"),
      ("math.flag tr", " data: Optional[bytes]  → bool"), ("math.flag trx", "!  trx is not a bool for 'on'"),
      ("call s1 math.add 1 ", "!no such procedure on s1, but on s2, s3"),
      ("text.concat(float) 1", "!no such overload: there are (int, str) and (int, int)"),
      ("math.mean(int)", "!  no such overload: there is (List[float])"),
      ("call s9 ", "!no service has a procedure 's9'"),
      ("call s9 math.add ", "!unknown server 's9' (did you mean 's1'?)"),
      ("cal math.add 1 2", "!unknown command (did you mean 'call'?)"), ("use ", "[SERVER]"),
      ("use s9 ", "!unknown server 's9' (did you mean 's1'?)"),
      ("text.upper \"a", nil),
      ("text.upper \"a\"b ", "!unexpected 'b' right after the closing quote; put a space between"),
      ("math.mean [1, ", nil),
      ("math.mean [1, x]", "!  x is not a float"), ("text.upper $nosuch ", "!unknown variable '$nosuch'"),
      ("text.upper $name", " → str"),
      ("math.add $name ", "!this is str, not int for 'a'"), ("text.upper @file ", "→ str"),
      ("time math.add 1 ", "b: int  → int"), ("set timeout ", "[VALUE]"),
      ("!ls", nil), ("math.add 1 2 | ", nil), ("math.add 1 2 &", nil),
      ("call math.nosuch", "!  no such procedure"),
    ] as [(String, String?)])
  func hints(text: String, expected: String?) async {
    let hint = Hint.hint(text, await Self.snapshot())
    #expect(hint.map { ($0.isError ? "!" : "") + $0.text } == expected)
  }

  @Test("no line makes completion or hints fail, cut anywhere")
  func nonsense() async {
    let snapshot = await Self.snapshot()
    var random = SeededRandom(seed: 7)
    let words = [
      "call", "s1", "s1,", "*", "math.add", "text.concat(int", "1", "-5", "\"x", "'", "[1,", "{a:", "}", "$1",
      "$", "_", "a=", "@x", "|", "&", "!",
      "#", "--", "time", "repeat", "3", "bench", "-c", "=", "\\", "日本", "\u{1}",
    ]
    for _ in 0..<3000 {
      let text = (0..<Int.random(in: 0..<7, using: &random)).map { _ in
        words[Int.random(in: 0..<words.count, using: &random)]
      }
      .joined(separator: Bool.random(using: &random) ? " " : "")
      let completion = Completion.complete(text, snapshot)
      #expect(completion.start <= text.utf8.count || completion.candidates.isEmpty)
      _ = Hint.hint(text, snapshot)
    }
  }

  @Test("candidates stand in columns, or with what is known of them")
  func lists() {
    #expect(
      CandidateList.rows(["one", "two", "three", "four"].map { Candidate($0) }, width: 16, style: .none) == [
        "one    three", "two    four",
      ])
    #expect(
      CandidateList.rows(
        [Candidate("a", "first"), Candidate("bcd", "a long explanation")], width: 18, style: .none) == [
          "a    first", "bcd  a long expl…",
        ])
  }
}
