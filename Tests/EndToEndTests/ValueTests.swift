import RPCClient
import RPCWire
import TestSupport
import Testing

@Suite("Values, to a procedure and back")
struct ValueTests {
  private static let types = [
    "int", "float", "str", "bool", "bytes", "None", "Any", "List[int]", "List[str]", "List[List[int]]",
    "Dict[str, int]", "Dict[str, List[float]]", "Optional[str]",
  ]

  /// One overload of `echo` for each type, in the language of the file.
  private func network(_ source: String, _ file: String, options: [String] = []) throws -> Network {
    let network = try Network(options: options)
    try network.directory.write(source, to: file)
    let entries = Self.types.map { "    - echo: {args: [\"\($0)\"], returns: [\"\($0)\"], src: \(file)}" }
    try network.describe(
      """
      service:
        - test: {providers: [s1], tenants: [me], rpcs: [echo]}
      rpc:
        test:
      \(entries.joined(separator: "\n"))
      """)
    try network.deploy()
    return network
  }

  private static let scalars = String(
    String.UnicodeScalarView(
      [
        0x00...0x7f, 0x80...0x9f, 0x3040...0x309f, 0xd7f0...0xd7ff, 0xe000...0xe00f, 0xfff0...0xffff,
        0x1f600...0x1f64f, 0x10fff0...0x10ffff,
      ].joined().compactMap { Unicode.Scalar($0 as UInt32) }))

  private static let cases: [(String, Value)] = [
    ("int", .int(.max)), ("int", .int(.min)), ("int", 0), ("int", -1), ("int", .int(1 << 53 + 1)),
    ("float", .float(.infinity)), ("float", .float(-.infinity)), ("float", .float(-0.0)),
    ("float", .float(.leastNonzeroMagnitude)), ("float", .float(.greatestFiniteMagnitude)),
    ("float", .float(0.1)), ("float", .float(.nan)),
    ("str", ""), ("str", .string(scalars)), ("str", .string(String(repeating: "é", count: (1 << 19) - 100))),
    ("str", "e\u{301} is not é"), ("bool", true), ("bool", false), ("None", .null),
    ("bytes", .bytes([])), ("bytes", .bytes(Array(0...255))),
    ("bytes", .bytes([UInt8](repeating: 0xff, count: 1 << 20))),
    ("List[int]", []), ("List[int]", [.int(.min), 0, .int(.max)]), ("List[str]", ["", "a\u{0}b"]),
    ("List[List[int]]", [[], [1], [2, 3], []]), ("Dict[str, int]", .map([])),
    ("Dict[str, int]", ["": 1, "ключ": -1]), ("Dict[str, List[float]]", ["a": [.float(1.5), .float(-0.0)]]),
    ("Optional[str]", .null), ("Optional[str]", "x"),
    ("Any", ["list": [1, "two", nil, true, [], ["deep": [[[1]]]]]]),
  ]

  /// Equal to the last bit: NaN is itself, and −0.0 is not 0.0. A map has no order, as in Lua.
  private static func same(_ left: Value, _ right: Value) -> Bool {
    func sorted(_ value: Value) -> Value {
      guard let entries = value.mapValue else { return value }
      return .map(entries.sorted { $0.key < $1.key })
    }
    return sorted(left).messagePack == sorted(right).messagePack
  }

  private func check(_ network: Network) async throws {
    let client = network.client()
    for (type, value) in Self.cases {
      let declared = try ValueType(parsing: type)
      let result = try await client.invoke("test.echo", [value], types: [declared], on: "s1")
      let isSame = result.values.count == 1 && Self.same(result.values[0], value)
      #expect(isSame, "\(type) \(String("\(value)".prefix(80)))")
    }
    await client.close()
  }

  @Test("Python gives back exactly what it was given")
  func python() async throws {
    try await check(network("def echo(value):\n    return value\n", "echo.py"))
  }

  @Test("Lua gives back exactly what it was given")
  func lua() async throws {
    try await check(network("function echo(value)\n  return value\nend\n", "echo.lua"))
  }

  @Test("the json dialect carries them too")
  func json() throws {
    let network = try network("def echo(value):\n    return value\n", "echo.py")
    let caller = try network.lines()
    let cases: [(String, String, String)] = [
      ("int", "9223372036854775807", "9223372036854775807"),
      ("int", "-9223372036854775808", "-9223372036854775808"),
      ("int", #""-9223372036854775808""#, "-9223372036854775808"),
      ("float", #""NaN""#, #""NaN""#), ("float", #""-Infinity""#, #""-Infinity""#), ("float", "0.1", "0.1"),
      ("float", "-0.0", "-0.0"), ("float", "5e-324", "5e-324"), ("float", "1", "1.0"),
      ("str", #""\u0000\ud83d\ude00é""#, "\"\\u0000😀é\""), ("bool", "true", "true"), ("None", "null", "null"),
      ("bytes", #""AP8=""#, #"{"$bytes":"AP8="}"#), ("List[int]", "[]", "[]"),
      ("List[int]", #""[1, 2]""#, "[1,2]"),
      ("List[List[int]]", "[[],[1]]", "[[],[1]]"), ("Dict[str, int]", #"{"a":1}"#, #"{"a":1}"#),
      ("Optional[str]", "null", "null"),
    ]
    for (type, sent, expected) in cases {
      try caller.send(
        line: LineClient.request("test.echo", "[\(sent)]", more: ",\"argument-types\":[\"\(type)\"]"))
      let line = try caller.receiveLine()
      #expect(
        line == "{\"header\":\"RPC-RES\",\"value\":{\"return-values\":[\(expected)]}}", "\(type) \(sent)")
    }
    let long = String(repeating: "é", count: (1 << 19) - 100)
    #expect(
      try caller.call("test.echo", "[\"\(long)\"]", more: ",\"argument-types\":[\"str\"]")
        == .values([.string(long)]))
    for tooBig in ["9223372036854775808", "-9223372036854775809", #""9223372036854775808""#] {
      let answer = try caller.call("test.echo", "[\(tooBig)]", more: ",\"argument-types\":[\"int\"]")
      #expect(answer.exceptionType != nil, "\(answer)")
    }
  }

  /// Looking through all of it again with every piece would take minutes.
  @Test("a json line of four megabytes is read in about the time that it takes to come")
  func longLine() throws {
    let network = try network(
      "def echo(value):\n    return value[:3]\n", "echo.py", options: ["--max-json", "8388608"])
    let caller = try network.lines()
    let long = String(repeating: "é", count: 2 << 20)
    #expect(
      try caller.call("test.echo", "[\"\(long)\"]", more: ",\"argument-types\":[\"str\"]") == .values(["ééé"])
    )
  }
}
