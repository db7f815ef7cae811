import RPCWire
import TestSupport
import Testing

@testable import RPCShell

@Suite struct LexerTests {
  /// Tokens in a short spelling: `w:` word, `s:` string, `n:` name, `f:` file.
  private static func spell(_ text: String) -> String {
    var lexer = Lexer(text)
    lexer.run()
    return lexer.tokens.map { token in
      switch token.kind {
      case .word(let text): "w:\(text)"
      case .name(let text): "n:\(text)"
      case .assign: "="
      case .string(let text): "s:\(text)"
      case .bytes(let bytes): "b:\(bytes)"
      case .file(let path): "f:\(path)"
      case .openList: "["
      case .closeList: "]"
      case .openMap: "{"
      case .closeMap: "}"
      case .comma: ","
      case .colon: ":"
      case .pipe(let command): "|:\(command)"
      case .shell(let command): "!:\(command)"
      case .redirection(let path, let appends): (appends ? ">>:" : ">:") + path
      case .background: "&"
      case .comment: "#"
      }
    }.joined(separator: " ")
  }

  @Test(
    "text is cut into tokens",
    arguments: [
      ("call s1 text.concat 32 hello", "w:call w:s1 w:text.concat w:32 w:hello"),
      ("  spaced\t out ", "w:spaced w:out"),
      ("servers > a.txt", "w:servers >:a.txt"), ("servers >>a.txt &", "w:servers >>:a.txt &"),
      ("servers > 'a b' x", "w:servers >:a b w:x"), ("f a>b \">\"", "w:f w:a>b s:>"),
      (#"a "two words" 'and "more"'"#, #"w:a s:two words s:and "more""#),
      (#""\n\t\"\\\u00e9\x41\U0001F600" "#, "s:\n\t\"\\é\u{41}😀"),
      (#""\ud83d\ude00""#, "s:😀"),
      (#"b"\x00\xffA" b'x'"#, "b:[0, 255, 65] b:[120]"),
      ("it's a[0] C# a|b x&y", "w:it's w:a[0] w:C# w:a|b w:x&y"),
      ("[1, [2], \"x\"]", "[ w:1 , [ w:2 ] , s:x ]"),
      (#"{"a": 1, b: [true]}"#, "{ s:a : w:1 , w:b : [ w:true ] }"),
      ("a=1 b=\"x y\" c=[1]", "n:a w:1 n:b s:x y n:c [ w:1 ]"),
      ("x = call f", "w:x = w:call w:f"),
      ("a==b", "w:a==b"),
      ("x -- a comment", "w:x #"),
      ("x # a comment", "w:x #"),
      ("x --flag", "w:x w:--flag"),
      ("x --", "w:x #"),
      ("call f | grep 'x' | wc", "w:call w:f |:grep 'x' | wc"),
      ("call f |wc", "w:call w:f |:wc"),
      ("!ls -l | wc", "!:ls -l | wc"),
      ("call f &", "w:call w:f &"),
      ("call f & # later", "w:call w:f & #"),
      ("call f & x", "w:call w:f w:& w:x"),
      ("@file.txt @\"my file\" [@a, 1]", "f:file.txt f:my file [ f:a , w:1 ]"),
      ("$x $3.field[0] _ [$3[0], _]", "w:$x w:$3.field[0] w:_ [ w:$3[0] , w:_ ]"),
      ("text.concat(int, str) 1", "w:text.concat(int, str) w:1"),
      ("text.f(List[int], Dict[str, int])", "w:text.f(List[int], Dict[str, int])"),
      ("x.y(a (b", "w:x.y(a w:(b"),
      ("a \\\n b", "w:a w:b"),
      ("[1,\n 2]", "[ w:1 , w:2 ]"),
      ("日本 \"語\"", "w:日本 s:語"),
      ("", ""),
    ])
  func tokens(text: String, expected: String) {
    #expect(Self.spell(text) == expected)
  }

  @Test("a command ends at its newline, and the next one starts there")
  func severalLines() {
    let lines = CommandLine.all(in: "a 1\n\n# only a comment\nb \"x\ny\" [1,\n2]\nc")
    #expect(lines.map { $0.words.map(\.text) } == [["a", "1"], ["b", "\"x\ny\"", "[1,\n2]"], ["c"]])
  }

  @Test(
    "what is not closed is known to be open",
    arguments: [
      ("a \"x", [OpenConstruct.Kind.doubleQuote]), ("a 'x", [.singleQuote]), ("a [1, {", [.list, .map]),
      ("a [\"x", [.list, .doubleQuote]), ("a \\", [.continuation]), ("a \\\n", [.continuation]),
      ("b\"x", [.doubleQuote]),
      ("a [1]", []),
    ])
  func open(text: String, kinds: [OpenConstruct.Kind]) {
    var lexer = Lexer(text)
    lexer.run()
    #expect(lexer.open.map(\.kind) == kinds)
  }

  @Test("an unfinished command goes on with more text, split anywhere")
  func resume() {
    let text = #"call f [1, "two \" words", {"k": 'it''s'}] b"\x41" x\#n"#
    var whole = Lexer(text)
    whole.run()
    let bytes = Array(text.utf8)
    for split in 0..<bytes.count {
      var lexer = Lexer(Array(bytes[..<split]))
      lexer.run()
      guard !lexer.open.isEmpty else { continue }
      lexer.resume(with: bytes[split...])
      // A word or number that was cut in the middle of an open bracket stays cut: lines end at newlines only.
      if bytes[split - 1] == .newline || lexer.tokens.count == whole.tokens.count {
        #expect(lexer.tokens == whole.tokens)
      }
    }
  }

  @Test(
    "mistakes are told with their place",
    arguments: [
      (#""a"b"#, 3..<4, "unexpected 'b' right after the closing quote; put a space between"),
      (#"x "\q""#, 3..<5, #"unknown escape '\q'; write '\\' for a backslash"#),
      (#""\u12""#, 1..<3, #"\u needs four hexadecimal digits of a valid character"#),
      ("[1}", 2..<3, "'}' closes nothing here, ']' is open"),
      ("a\u{1}b", 1..<2, #"a control character (0x01) in the text; use \x01 in quotes"#),
      ("[1 2]", 3..<4, "a comma is missing before '2' in […]"),
      ("{\"a\" 1}", 5..<6, "':' is missing behind the key 'a'"),
      ("{\"a\": 1, \"a\": 2}", 9..<12, "the key 'a' occurs twice"),
      ("[,]", 1..<2, "a value is missing before ','"),
      ("$", 0..<1, "'$' needs a name or a number: $name, $3; write '$' in quotes for text"),
      ("call $3.", 5..<8, "a field's name is missing after '.' in '$3.'"),
      ("1x = 2", 0..<2, "'1x' cannot be a variable: a name is letters, digits and '_'"),
      ("a |", 2..<3, "a command is missing after '|'"),
      ("!", 0..<1, "a command is missing after '!'"),
      ("@", 0..<1, "a file's name is missing after '@'"),
    ])
  func issues(text: String, span: Range<Int>, message: String) {
    let issue = CommandLine(parsing: text).issues.first
    #expect(issue?.span == span && issue?.message == message, "\(String(describing: issue))")
  }

  @Test("brackets nest as deep as the wire takes, and no deeper")
  func depth() {
    let limit = ShellLimits.nestingDepthMax
    func nested(_ depth: Int) -> String {
      "f " + String(repeating: "[", count: depth) + String(repeating: "]", count: depth)
    }
    #expect(CommandLine(parsing: nested(limit)).issues.isEmpty)
    #expect(
      CommandLine(parsing: nested(limit + 1)).issues.map(\.message) == ["brackets nest deeper than 64 levels"]
    )
    #expect(!CommandLine(parsing: "f " + String(repeating: "[", count: 500_000)).issues.isEmpty)
  }

  @Test("any bytes give tokens whose spans are in order and inside the text")
  func nonsense() {
    var random = SeededRandom(seed: 42)
    let alphabet = Array("ab1 .,:=|&#-@$_!'\"\\[]{}()\n\té\u{1}".utf8) + [0xff, 0xc3, 0xe2]
    for _ in 0..<5000 {
      let bytes = (0..<Int.random(in: 0..<40, using: &random)).map { _ in
        alphabet[Int.random(in: 0..<alphabet.count, using: &random)]
      }
      var offset = 0
      repeat {
        let line = CommandLine(parsing: bytes, from: offset)
        var last = offset
        for word in line.words {
          #expect(word.span.lowerBound >= last && word.span.upperBound <= bytes.count, "\(bytes)")
          last = word.span.upperBound
        }
        for issue in line.issues { #expect(issue.span.upperBound <= bytes.count, "\(bytes)") }
        #expect(line.end > offset || bytes.isEmpty, "\(bytes)")
        offset = line.end
      } while offset < bytes.count
    }
  }
}
