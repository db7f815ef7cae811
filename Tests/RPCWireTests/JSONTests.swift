import RPCWire
import Testing

@Suite("JSON")
struct JSONTests {
  static let values: [(String, Value)] = [
    ("null", .null), ("true", true), (" false\n", false), ("0", 0), ("-0", 0), ("-1", -1),
    ("9223372036854775807", .int(.max)), ("-9223372036854775808", .int(.min)),
    ("1.0", 1.0), ("-0.0", -0.0), ("1e3", 1000.0), ("1E-2", 0.01), ("1.5e+300", 1.5e300),
    ("5e-324", .float(.leastNonzeroMagnitude)),
    (#""""#, ""), (#""a\"\\\/\b\f\n\r\tz""#, "a\"\\/\u{8}\u{c}\n\r\tz"), (#""\u00e9\u20ac""#, "é€"),
    (#""\ud83c\udf0d""#, "🌍"), (#""🌍 héllo \u0000""#, "🌍 héllo \0"),
    ("[]", []), ("[ 1 , [2,\t[]] ]", [1, [2, []]]), ("{}", [:]),
    (#"{"a":1,"b":{"c":[]}}"#, ["a": 1, "b": ["c": []]]),
  ]

  @Test("a JSON text is read as its value", arguments: values.indices)
  func reads(index: Int) throws {
    let (text, value) = Self.values[index]
    #expect(try Value(json: text) == value)
  }

  static let wrong: [(String, Int, String)] = [
    ("", 0, "expected a value, found the end"),
    ("tru", 0, "expected a value, found 't'"),
    ("truely", 0, "expected a value, found 't'"),
    ("NaN", 0, "expected a value, found 'N'"),
    ("'a'", 0, "expected a value, found '''"),
    ("1 2", 2, "'2' follows the end of the value"),
    ("01", 0, "a number does not start with 0"),
    ("-", 1, "expected a digit, found the end"),
    ("+1", 0, "expected a value, found '+'"),
    ("1.", 2, "expected a digit, found the end"),
    (".5", 0, "expected a value, found '.'"),
    ("1e", 2, "expected a digit, found the end"),
    ("1x", 1, "'x' inside a number"),
    ("9223372036854775808", 0, "9223372036854775808 does not fit a signed 64-bit integer"),
    ("-9223372036854775809", 0, "-9223372036854775809 does not fit a signed 64-bit integer"),
    ("1e400", 0, "1e400 does not fit a float"),
    ("[1,]", 3, "expected a value, found ']'"),
    ("[1 2]", 3, "expected ',' or ']' in a list, found '2'"),
    ("[1", 2, "expected ',' or ']' in a list, found the end"),
    ("{a:1}", 1, "expected a key in double quotes, found 'a'"),
    (#"{"a" 1}"#, 5, "expected ':' after the key 'a', found '1'"),
    (#"{"a":1,}"#, 7, "expected a key in double quotes, found '}'"),
    (#"{"a":1,"a":2}"#, 7, "the key 'a' occurs twice"),
    (#"{"a":1,"\u0061":2}"#, 7, "the key 'a' occurs twice"),
    ("\"a", 0, "a string that does not end"),
    ("\"a\nb\"", 2, "byte 0x0a in a string must be escaped"),
    (#""\x""#, 1, #"no such escape, write \\ for a backslash"#),
    (#""\u12g4""#, 1, #"\u is followed by four hexadecimal digits"#),
    (#""\ud83c""#, 1, "half a surrogate pair"),
    (#""\ud83c\u0041""#, 1, "half a surrogate pair"),
    (#""\udf0d""#, 1, "half a surrogate pair"),
    ("\u{feff}1", 0, "expected a value, found byte 0xef"),
    ("// c\n1", 0, "expected a value, found '/'"),
  ]

  @Test("what is no JSON is refused where it goes wrong", arguments: wrong.indices)
  func refuses(index: Int) {
    let (text, offset, message) = Self.wrong[index]
    #expect(throws: JSONError(message, at: offset)) { try Value(json: text) }
  }

  @Test(
    "a float is read as the nearest one, however it is written",
    arguments: [
      "0.1", "1.7976931348623157e308", "4503599627370497.5", "9007199254740993e0", "1e22", "1e23",
      "123456789e-22",
      "0.000001", "-0.0", "3.14159265358979323846264338327950288", "1e0022", "5e-324", "2.5e-5",
      "90071992547409.91",
    ])
  func nearestFloat(text: String) throws {
    #expect(try Value(json: text).floatValue?.bitPattern == Double(text)?.bitPattern)
  }

  @Test("strings must be UTF-8")
  func invalidUTF8() {
    #expect(throws: JSONError("a string is not valid UTF-8", at: 0)) {
      try Value(json: [0x22, 0xc3, 0x28, 0x22])
    }
    #expect(throws: JSONError("a string is not valid UTF-8", at: 0)) {
      try Value(json: [0x22, 0xed, 0xa0, 0x80, 0x5c, 0x6e, 0x22])
    }
  }

  @Test("nesting is read up to the limit and refused above it")
  func depth() throws {
    let limit = WireLimits.nestingDepthMax
    let deepest = String(repeating: "[", count: limit) + "1" + String(repeating: "]", count: limit)
    let value = try Value(json: deepest)
    #expect(value.json == deepest)
    #expect(try Value(messagePack: value.messagePack) == value)
    #expect(throws: JSONError("lists and objects nest deeper than \(limit) levels", at: limit + 1)) {
      try Value(json: "[" + deepest + "]")
    }
    #expect(throws: JSONError.self) { try Value(json: String(repeating: "[", count: 1_000_000)) }
  }

  @Test("a text cut short anywhere is an error, never a crash", arguments: values.indices)
  func truncated(index: Int) {
    let bytes = Array(Self.values[index].0.utf8)
    for length in 0..<bytes.count { _ = try? Value(json: Array(bytes.prefix(length))) }
  }

  @Test(
    "a value comes back from its own JSON, compact and pretty", arguments: MessagePackTests.values.indices)
  func roundTrip(index: Int) throws {
    let value = MessagePackTests.values[index]
    let type = ValueType(describing: value)
    #expect(try type.value(fromJSON: Value(json: value.json)) == value)
    #expect(try type.value(fromJSON: Value(json: value.prettyJSON())) == value)
  }

  @Test(
    "each kind of value has one spelling",
    arguments: [
      (1.0, "1.0"), (0.1, "0.1"), (1e20, "1e+20"), (-0.0, "-0.0"), (.float(.nan), #""NaN""#),
      (.float(.infinity), #""Infinity""#), (.float(-.infinity), #""-Infinity""#),
      (.bytes([0, 1, 255]), #"{"$bytes":"AAH/"}"#),
      (.bytes([]), #"{"$bytes":""}"#),
      (
        "\u{1}\u{1f}\u{7f}\u{85}\u{9f}\u{a0}\n\"\\é",
        #""\u0001\u001f\u007f\u0085\u009f "# + "\u{a0}" + #"\n\"\\é""#
      ),
      (["a": [1, nil]], #"{"a":[1,null]}"#),
    ] as [(Value, String)])
  func spelling(value: Value, text: String) {
    #expect(value.json == text.replacing(" \u{a0}", with: "\u{a0}"))
  }

  @Test("pretty JSON keeps together what fits a line")
  func pretty() {
    let value: Value = ["short": [1, 2, 3], "long": ["aaaaaaaaaa", "bbbbbbbbbb", ["c": []]], "e": [:]]
    #expect(
      value.prettyJSON(width: 24) == """
        {
          "short": [1, 2, 3],
          "long": [
            "aaaaaaaaaa",
            "bbbbbbbbbb",
            {"c": []}
          ],
          "e": {}
        }
        """)
    #expect(
      value.prettyJSON(width: 200)
        == #"{"short": [1, 2, 3], "long": ["aaaaaaaaaa", "bbbbbbbbbb", {"c": []}], "e": {}}"#)
  }

  @Test(
    "base64 is exact",
    arguments: [
      ("", []), ("AA==", [0]), ("AAE=", [0, 1]), ("AAEC", [0, 1, 2]), ("+/+/AA==", [251, 255, 191, 0]),
    ]
      as [(String, [UInt8])])
  func base64(text: String, bytes: [UInt8]) {
    #expect(Base64.encode(bytes) == text)
    #expect(Base64.decode(text) == bytes)
  }

  @Test(
    "what base64 does not write, it does not read",
    arguments: ["A", "AA", "AA=", "AB==", "AAF=", "A===", "====", "AA==AA==", "A A=", "-_-_", "AA=A"])
  func badBase64(text: String) {
    #expect(Base64.decode(text) == nil)
  }
}
