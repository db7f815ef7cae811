import RPCClient
import RPCProcedures
import RPCWire
import Testing

@testable import RPCShell

@Suite struct RenderingTests {
  init() { Terminal.chooseLocale() }

  @Test(
    "a value is shown so that it can be typed again",
    arguments: [
      (Value.int(3), "3"), (.float(1), "1.0"), (.float(.nan), "nan"), (.float(-.infinity), "-inf"),
      (.bool(true), "true"),
      (.null, "None"), (.string("hello world"), "hello world"), (.string("32"), "\"32\""),
      (.string(""), "\"\""),
      (.string("true"), "\"true\""), (.string("a\u{1b}[31m"), "\"a\\x1b[31m\""), (.string("[x]"), "\"[x]\""),
      (.bytes([0, 65, 255]), "b\"\\x00A\\xff\""), (.list(["a", 1, nil]), "[\"a\", 1, None]"),
      (["k": ["x": 1.5]], "{\"k\": {\"x\": 1.5}}"), (.string("日本"), "日本"),
      (.string("two\nlines"), "two\nlines"),
    ] as [(Value, String)])
  func shown(value: Value, expected: String) throws {
    #expect(ValueText.shown(value, width: 80) == expected)
    // And back, where it is not plain text.
    if ValueText.text(value) == expected, expected != "nan" {
      #expect(try CommandLine(parsing: "f " + expected).words[1].literal.natural() == value)
    }
  }

  @Test("the keys of a bound that was crossed say its unit, for a program and in why")
  func bounds() {
    func keys(_ unit: RPCError.Unit?) -> [String] {
      let error = RPCError(.resourceExhausted, "full", actual: 2, limit: 1, unit: unit)
      return (CommandFailure.call(error).object["error"]?.mapValue ?? []).map(\.key)
        .filter { $0.hasPrefix("actual") || $0.hasPrefix("limit") }
    }
    for unit in RPCError.Unit.allCases {
      #expect(keys(unit) == ["actual_\(unit.rawValue)", "limit_\(unit.rawValue)"])
    }
    // A server of an earlier version does not say the unit.
    #expect(keys(nil) == ["actual", "limit"])
  }

  @Test("wide values break over lines, scalars flow")
  func broken() {
    let numbers = Value.list((100..<130).map { .int($0) })
    let text = ValueText.shown(numbers, width: 30)
    #expect(text.split(separator: "\n").allSatisfy { $0.utf8.count <= 30 })
    #expect(text.hasPrefix("[\n  100, 101, ") && text.hasSuffix("\n]"))
    let map = Value.map([.init("first", .string(String(repeating: "x", count: 20))), .init("second", 2)])
    #expect(
      ValueText.shown(map, width: 30) == "{\n  \"first\": \"xxxxxxxxxxxxxxxxxxxx\",\n  \"second\": 2\n}")
  }

  private static let table = Table(
    [.init("server"), .init("calls", right: true), .init("about", widthMax: 12)],
    rows: [
      [.init("s1"), .number(12_345), .init("日本語テキスト")], [.init("s22"), .number(nil), .init("short")],
    ])

  @Test("tables align by columns of the terminal, wide characters too")
  func table() {
    #expect(
      Self.table.text(style: .none, width: 80) == """
        SERVER   CALLS  ABOUT
        s1      12,345  日本語テキ…
        s22          –  short

        """)
  }

  @Test("one table in every format")
  func formats() {
    func text(_ format: OutputFormat) -> String {
      Renderer(format: format, style: .none, width: 80, isInteractive: false).render(.table(Self.table)).out
    }
    #expect(
      text(.json) == """
        {"server":"s1","calls":12345,"about":"日本語テキスト"}
        {"server":"s22","calls":null,"about":"short"}

        """)
    #expect(text(.raw) == "s1\t12345\t日本語テキスト\ns22\tnull\tshort\n")
  }

  @Test("a list of like dictionaries is a table for people")
  func rows() {
    let value: Value = [["id": 1, "name": "a"], ["id": 20, "name": "b"]]
    let report = Report(
      procedure: "x.y", answer: CallResult(values: [value], server: "s1", elapsed: .zero, attempts: 1),
      number: 2)
    func text(_ format: OutputFormat, _ interactive: Bool) -> String {
      Renderer(format: format, style: .none, width: 80, isInteractive: interactive).render(.answer(report))
        .out
    }
    #expect(text(.auto, true) == "$2 =\nID  NAME\n 1  a\n20  b\n")
    #expect(text(.auto, false) == "ID  NAME\n 1  a\n20  b\n")
    #expect(text(.raw, false) == #"[{"id":1,"name":"a"},{"id":20,"name":"b"}]"# + "\n")
    #expect(
      text(.json, false)
        == #"{"procedure":"x.y","server":"s1","values":[[{"id":1,"name":"a"},{"id":20,"name":"b"}]],"elapsed_us":0}"#
        + "\n")
  }

  @Test("failures are for people on one channel and for programs on the other")
  func failures() {
    let error = RPCError(.executionException, "division by zero", executed: .yes, source: "divide.py:2")
    let failure = CommandFailure.call(error, procedure: "math.divide", server: "s2")
    let people = Renderer(format: .auto, style: .none, width: 80, isInteractive: false)
    #expect(people.render(failure) == .init(err: "ExecutionException: division by zero (divide.py:2)\n"))
    #expect(
      people.render(failure, location: "x.rpc:7")
        == .init(err: "x.rpc:7: ExecutionException: division by zero (divide.py:2)\n"))
    let programs = Renderer(format: .json, style: .none, width: 80, isInteractive: false)
    #expect(
      programs.render(failure, location: "x.rpc:7").out
        == #"{"error":{"exception":"ExecutionException","message":"division by zero","code":2,"executed":"yes","source":"divide.py:2","procedure":"math.divide","server":"s2","at":"x.rpc:7"}}"#
        + "\n")
  }

  @Test("at the prompt the place of a mistake is marked, wide characters counted")
  func pointer() {
    let line = CommandLine(parsing: "call 日本 x")
    let failure = CommandFailure.usage("unknown server '日本'", at: 5..<11)
    let renderer = Renderer(format: .auto, style: .none, width: 80, isInteractive: true)
    #expect(
      renderer.render(failure, line: line).err == "error: unknown server '日本'\n  call 日本 x\n       ^^^^\n"
    )
  }

  @Test("nothing that a server sends can steer the terminal")
  func harmless() {
    #expect(TextWidth.harmless("a\u{1b}[2Jb\u{9b}c\r\n\td\u{7f}é") == "a␛[2Jb\u{fffd}c␍\n\td␡é")
  }

  @Test(
    "numbers carry units",
    arguments: [
      (Duration.nanoseconds(840), "840 ns"), (.microseconds(84), "84.0 µs"), (.microseconds(1240), "1.24 ms"),
      (.milliseconds(999), "999 ms"), (.milliseconds(2500), "2.50 s"), (.seconds(200), "3 min 20 s"),
      (.seconds(90_000), "1 d 1 h"),
    ])
  func durations(duration: Duration, expected: String) { #expect(Quantity.duration(duration) == expected) }

  @Test(
    "times are read with and without units",
    arguments: [
      ("2", Duration.seconds(2)), ("500ms", .milliseconds(500)), ("1.5s", .milliseconds(1500)),
      ("2m", .seconds(120)),
      ("x", nil), ("-1", nil), ("1d", nil), ("", nil), ("1e3", nil),
    ] as [(String, Duration?)])
  func parsed(text: String, expected: Duration?) { #expect(Quantity.duration(parsing: text) == expected) }
}
