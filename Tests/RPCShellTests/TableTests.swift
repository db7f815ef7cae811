import RPCClient
import RPCWire
import Testing

@testable import RPCShell

/// Tables of data: what is a row, what fits, and what a program gets.
@Suite struct TableTests {
  init() { Terminal.chooseLocale() }

  private static let people: Value = [
    ["id": 1, "name": "Ada", "tags": ["x", "y"]], ["name": "Grace Hopper", "id": 20, "tags": []],
  ]

  private static func text(
    _ value: Value, width: Int? = 80, expanded: ExpandedLayout = .auto
  ) -> String? { ValueLayout(style: .none, width: width, expanded: expanded).text(value) }

  @Test("one row is a table too, and so are rows with lists in them and keys in another order")
  func rows() {
    #expect(Self.text([["id": 1, "name": "Ada"]]) == "ID  NAME\n 1  Ada\n")
    #expect(
      Self.text(Self.people) == """
        ID  NAME          TAGS
         1  Ada           ["x", "y"]
        20  Grace Hopper  []

        """)
    // A key that is missing leaves its cell empty, and no blanks at the end of the row.
    #expect(Self.text([["a": 1, "b": "x"], ["a": 2]]) == "A  B\n1  x\n2\n")
  }

  @Test("rows inside a dictionary or a list are tables in their place")
  func nested() {
    #expect(
      Self.text(["total": 2, "rows": Self.people, "note": "x"]) == """
        total  2
        rows
          ID  NAME          TAGS
           1  Ada           ["x", "y"]
          20  Grace Hopper  []
        note   x

        """)
    #expect(Self.text([[["a": 1]], [["a": 2]]]) == "[0]\n  A\n  1\n[1]\n  A\n  2\n")
  }

  @Test(
    "what is not a table stays what it is",
    arguments: [1, "x", [], [1, 2], [["a": 1], 2], [[:]], ["a": 1], ["a": ["b": 1]]] as [Value])
  func plain(value: Value) { #expect(Self.text(value) == nil) }

  @Test("two spellings of a letter are two columns")
  func spellings() {
    let value: Value = [.map([.init("\u{e9}", 1), .init("e\u{301}", 2)])]
    #expect(Table(rows: value)?.columns.count == 2)
  }

  @Test("records are one line per column, broken where the terminal ends")
  func records() {
    #expect(
      Self.text([["id": 1, "name": "Ada Lovelace"], ["id": 2, "name": "x"]], width: 16, expanded: .on) == """
        -[ 1 ]----------
        id    1
        name  Ada Lovela
              ce
        -[ 2 ]-
        id    2
        name  x

        """)
  }

  @Test("no line is ever wider than the terminal", arguments: [20, 30, 40, 60, 79, 80, 120])
  func narrow(width: Int) {
    var servers = Table([
      .init("server"), .init("state"), .init("address"), .init("round trip", right: true),
      .init("generation", right: true), .init("calls", right: true), .init("reason", widthMax: 200),
    ])
    servers.rows = [
      [
        .init("s1"), .init("up"), .init("127.0.0.1:8181"), .init("268 µs"), .number(1), .number(25),
        .init(""),
      ],
      [
        .init("日本"), .init("down"), .init("[fe80::1234:5678:9abc:def0]:8181"), .init("–"), .number(nil),
        .number(nil), .init("no answer within 2.00 s, and a long story behind it"),
      ],
    ]
    for expanded in ExpandedLayout.allCases {
      let text = servers.text(style: .none, width: width, expanded: expanded)
      for line in text.split(separator: "\n") {
        #expect(TextWidth.columns(String(line)) <= width, "\(expanded): \(line)")
        #expect(line.last != " ", "\(expanded): '\(line)'")
      }
    }
    // Where rows cannot fit they become records, unless that is switched off.
    let isRecords = servers.text(style: .none, width: width).hasPrefix("-[ 1 ]")
    #expect(isRecords == (width < 65))
    #expect(!servers.text(style: .none, width: width, expanded: .off).hasPrefix("-["))
  }

  @Test("a program gets whole rows, as wide as they are, without blanks at their ends")
  func piped() {
    let long = String(repeating: "long ", count: 60) + "end"
    let rows = Value.list((0..<300).map { ["number": .int($0), "text": .string("item \($0) " + long)] })
    let report = Report(
      procedure: "x.rows", answer: CallResult(values: [rows], server: "s1", elapsed: .zero, attempts: 1))
    let seen = Renderer(format: .auto, style: Style(isColored: true), width: 40, isInteractive: true)
    let lines = seen.forPrograms.render(.answer(report)).out.split(separator: "\n")
    #expect(lines.count == 301)
    let found = lines.filter { $0.contains("item 12 ") }
    #expect(found.count == 1)
    #expect(String(found.first ?? "") == "    12  item 12 " + long)
    // A script's own output is for programs as well; the whole value on one line is there with `-o raw`.
    let script = Renderer(format: .auto, style: .none, width: 80, isInteractive: false)
    #expect(script.render(.answer(report)).out.split(separator: "\n") == lines)
    let raw = Renderer(format: .raw, style: .none, width: 80, isInteractive: false)
    #expect(raw.render(.answer(report)).out.hasPrefix(#"[{"number":0,"text":"item 0 "#))
    #expect(raw.render(.answer(report)).out.split(separator: "\n").count == 1)
  }

  @Test("an excerpt of a large value costs what is shown")
  func excerpt() {
    let large = Value.list((0..<2_000_000).map { .int($0) })
    #expect(ValueText.excerpt(large, width: 20) == "[0, 1, 2, 3, 4, 5, …")
    #expect(ValueText.excerpt(.string(String(repeating: "x", count: 5_000_000)), width: 6) == "\"xxxx…")
    #expect(ValueText.excerpt(["a": [1, 2]], width: 20) == "{\"a\": [1, 2]}")
    let start = ContinuousClock.now
    for _ in 0..<1000 { _ = ValueText.excerpt(large, width: 200) }
    #expect(ContinuousClock.now - start < .seconds(20))
  }
}
