import RPCProcedures
import RPCWire
import Testing

@testable import RPCShell

@Suite struct FitTests {
  private static func literal(_ text: String) -> Literal {
    CommandLine(parsing: "f " + text).words[1].literal
  }

  @Test(
    "a literal is read as the declared type",
    arguments: [
      ("32", "int", Value.int(32)), ("-5", "int", .int(-5)), ("+5", "int", .int(5)),
      ("1_000", "int", .int(1000)),
      ("0x1f", "int", .int(31)), ("-0b101", "int", .int(-5)), ("0o17", "int", .int(15)),
      ("007", "int", .int(7)),
      ("9223372036854775807", "int", .int(.max)), ("-9223372036854775808", "int", .int(.min)),
      ("32", "float", .float(32)), ("1.5", "float", .float(1.5)), ("-1e3", "float", .float(-1000)),
      (".5", "float", .float(0.5)), ("inf", "float", .float(.infinity)),
      ("-Infinity", "float", .float(-.infinity)),
      ("32", "str", .string("32")), ("hello", "str", .string("hello")), ("true", "str", .string("true")),
      ("007", "str", .string("007")), ("\"32\"", "str", .string("32")), ("''", "str", .string("")),
      ("true", "bool", .bool(true)), ("False", "bool", .bool(false)), ("None", "None", .null),
      ("null", "None", .null),
      ("b\"\\x00\"", "bytes", .bytes([0])), ("héllo", "bytes", .bytes(Array("héllo".utf8))),
      ("[1, 2]", "List[int]", .list([1, 2])), ("[1, 2.5]", "List[float]", .list([.float(1), .float(2.5)])),
      ("[a, \"b c\"]", "List[str]", .list(["a", "b c"])), ("[]", "List[int]", .list([])),
      ("[1,]", "List[int]", .list([1])),
      ("{\"a\": 1}", "Dict[str, int]", ["a": 1]), ("{a: [1]}", "Dict[str, List[int]]", ["a": [1]]),
      ("None", "Optional[int]", .null), ("5", "Optional[int]", .int(5)), ("{}", "Dict[str, int]", .map([])),
      ("{\"$bytes\": \"AP8=\"}", "bytes", .bytes([0, 255])),
      ("\"-Infinity\"", "float", .float(-.infinity)),
      ("32", "Any", .int(32)), ("x", "Any", .string("x")), ("[1, x, None]", "Any", .list([1, "x", nil])),
    ] as [(String, String, Value)])
  func fits(text: String, type: String, expected: Value) throws {
    #expect(try Self.literal(text).fit(ValueType(parsing: type)).value == expected)
  }

  @Test(
    "what does not fit says why, and where",
    arguments: [
      ("hello", "int", 2..<7, "hello is not an int"), ("1.5", "int", 2..<5, "1.5 is not an int"),
      ("9223372036854775808", "int", 2..<21, "9223372036854775808 does not fit an int (64 bits)"),
      ("\"32\"", "int", 2..<6, "the text \"32\" is not an int"),
      ("[1, x]", "List[int]", 6..<7, "x is not an int"),
      ("1", "bool", 2..<3, "1 is not a bool"), ("[1]", "str", 2..<5, "a list is not a str"),
      ("{\"a\": x}", "Dict[str, int]", 8..<9, "x is not an int"),
      ("b\"x\"", "str", 2..<6, "bytes are not a str"),
      (
        "18446744073709551616", "Any", 2..<22,
        "18446744073709551616 does not fit an int (64 bits); quote it for text"
      ),
    ])
  func mismatches(text: String, type: String, span: Range<Int>, message: String) throws {
    let type = try ValueType(parsing: type)
    #expect(throws: FitError(span, message)) { try Self.literal(text).fit(type) }
  }

  private static func choose(_ line: String) -> String {
    let words = CommandLine(parsing: line).words
    let name = (try? ProcedureName(words[0].text)) ?? nil
    let overloads = FakeBackend.procedures.filter { name?.matches($0.signature) ?? false }
    do throws(OverloadResolver.Failure) {
      let choice = try OverloadResolver.choose(Array(words.dropFirst()), among: overloads)
      let types = choice.procedure.signature.parameterTypes.map(\.description).joined(separator: ",")
      return "\(types) \(choice.values.map(ValueText.text).joined(separator: " "))"
        + (choice.isObvious ? "" : " *")
    } catch {
      switch error {
      case .ambiguous(let procedures): return "ambiguous \(procedures.count)"
      case .none(_, let issue): return "\(issue.span): \(issue.message)"
      }
    }
  }

  @Test(
    "the overload that fits the values best is chosen",
    arguments: [
      ("text.concat 32 hello", #"int,str 32 "hello""#), ("text.concat 32 33", "int,int 32 33 *"),
      ("text.concat 32 \"33\"", #"int,str 32 "33""#), ("text.concat b=1 a=2", "int,int 2 1 *"),
      ("text.concat 1 b=x", #"int,str 1 "x""#), ("text.concat(int,str) 32 33", #"int,str 32 "33""#),
      ("text.concat(a: int, b: str) 32 33", #"int,str 32 "33""#), ("math.either 1 2", "ambiguous 2"),
      ("math.either 1 \"2\"", #"int,str 1 "2""#), ("math.mean [1, 2]", "List[float] [1.0, 2.0]"),
      ("math.flag true None", "bool,Optional[bytes] true None"),
      ("math.flag data=b\"x\" on=false", "bool,Optional[bytes] false b\"x\""),
      ("text.concat x y", "12..<13: x is not an int for 'a'"),
      ("text.concat 1", "13..<13: missing argument 'b: str'"),
      ("text.upper", "0..<0: missing argument 'text: str'"),
      ("text.upper a b", "13..<14: too many arguments: upper takes 1"),
      ("math.add 1 c=2", "11..<14: unknown argument 'c' (did you mean 'a'?)"),
      ("math.add 1 a=2", "11..<14: 'a' is given twice"),
      ("math.add a=1 2", "13..<14: an argument without a name follows one with a name"),
      (
        "math.mean x=1",
        "10..<13: unknown argument 'x'; its arguments have no names (quote 'x=1' for text)"
      ),
    ])
  func overloads(line: String, expected: String) {
    #expect(Self.choose(line) == expected)
  }

  @Test(
    "references walk into earlier results",
    arguments: [
      ("_", "[1, 2]"), ("$1", "{\"a\": {\"b\": [10, 20]}}"), ("$1.a.b[1]", "20"), ("$1.a.b.0", "10"),
      ("$1[\"a\"].b[-1]", "20"), ("$name", "\"x\""), ("_[0]", "1"),
      ("_.5", "error: '_' has 2 elements, no [5]"),
      ("$1.c", "error: '$1' has no field 'c' (did you mean 'a'?)"),
      ("$nam", "error: unknown variable '$nam' (did you mean 'name'?)"),
      ("$9", "error: there is no result $9: the last is $2"),
      ("$name.x", "error: '$name' is str, which has no parts"),
    ])
  func references(text: String, expected: String) throws {
    var variables = Variables()
    variables.append(["a": ["b": [10, 20]]])
    variables.append([1, 2])
    variables.bind("name", to: "x")
    let reference = try #require(try Reference(text))
    do throws(ReferenceError) {
      #expect(ValueText.text(try reference.resolve(in: variables)) == expected)
    } catch {
      #expect("error: " + error.message == expected)
    }
  }

  @Test("old results are forgotten, and it is said")
  func forgotten() {
    var variables = Variables()
    for number in 1...(2 * ShellLimits.resultsKept) { variables.append(.int(Int64(number))) }
    #expect(variables.count == 2 * ShellLimits.resultsKept)
    #expect(variables.last == .int(Int64(2 * ShellLimits.resultsKept)))
    #expect(variables.result(2 * ShellLimits.resultsKept) == variables.last)
    #expect(variables.result(1) == nil)
    #expect(variables.missing(1) == "result $1 is forgotten: the last 1000 are kept")
  }
}
