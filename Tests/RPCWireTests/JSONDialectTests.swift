import RPCWire
import Testing

@Suite("The json dialect")
struct JSONDialectTests {
  private func request(_ line: String) throws(JSONDialect.Rejection) -> JSONDialect.Request {
    var queue = ByteQueue()
    queue.append(line)
    return try JSONDialect.request(from: queue.bytes)
  }

  /// The arguments of a line, read as the types that it names, or as what they are.
  private func decoded(_ line: String) throws -> [Value] {
    let bytes = Array(line.utf8)
    let request = try JSONDialect.request(from: bytes.span.bytes)
    let arguments = request.arguments(in: bytes.span.bytes)
    var encoded = ByteQueue()
    try arguments.encode(as: request.argumentTypes ?? arguments.types, to: &encoded)
    return try Value.list(messagePack: encoded.copy())
  }

  private static func line(_ json: String, as type: String, id: String = "7") -> String {
    #"{"header":"RPC-REQ","value":{"id":\#(id),"service":"s","rpc":"r","arguments":[\#(json)],"argument-types":["\#(type)"]}}"#
  }

  @Test("the request of the design is read")
  func example() throws {
    let line = """
      {"header":"RPC-REQ","value":{"service":"service1","rpc":"rpc1","arguments":\
      ["32","hello"],"argument-types":["int","str"],"return-types":["str"]}}
      """
    let request = try request(line)
    #expect(request.service == "service1" && request.rpc == "rpc1" && request.id == nil)
    #expect(request.argumentTypes == [.int, .string] && request.returnTypes == [.string])
    #expect(try decoded(line) == [32, "hello"])
  }

  @Test("what may be left out may be left out, an id is kept, a timeout is in seconds")
  func optional() throws {
    let least = #"{"header":"RPC-REQ","value":{"service":"s","rpc":"r"}}"#
    #expect(try decoded(least) == [])
    #expect(try request(least).timeoutMicroseconds == nil)
    let most =
      #"{"value":{"timeout":1.5,"rpc":"r","id":[1],"client":"c1","service":"s","arguments":["1",2]},"header":"RPC-REQ"}"#
    let request = try request(most)
    #expect(
      request.id == JSONDialect.ID([1]) && request.client == "c1" && request.timeoutMicroseconds == 1_500_000)
    #expect(try decoded(most) == ["1", 2])
  }

  static let arguments: [(String, String, Value)] = [
    ("int", #""32""#, 32), ("int", "32", 32), ("int", #"" -7 ""#, -7), ("float", #""1.5""#, 1.5),
    ("float", "2", 2.0),
    ("float", #""2""#, 2.0), ("float", #""Infinity""#, .float(.infinity)),
    ("float", #""-Infinity""#, .float(-.infinity)),
    ("str", #""32""#, "32"), ("str", #""""#, ""), ("bool", #""true""#, true), ("bool", #""False""#, false),
    ("None", "null", nil), ("None", #""None""#, nil), ("None", #""null""#, nil),
    ("bytes", #""AAH/""#, .bytes([0, 1, 255])),
    ("bytes", #"{"$bytes":"AAH/"}"#, .bytes([0, 1, 255])), ("List[int]", #""[1,2]""#, [1, 2]),
    ("List[int]", "[1,2]", [1, 2]), ("List[float]", #"[1,"Infinity"]"#, [1.0, .float(.infinity)]),
    ("List[bytes]", #"["AA=="]"#, [.bytes([0])]), ("List[str]", #"["1","[2]"]"#, ["1", "[2]"]),
    ("Dict[str, int]", #""{\"a\":1}""#, ["a": 1]),
    ("Dict[str, str]", #"{"$bytes":"AA=="}"#, ["$bytes": "AA=="]),
    ("Optional[int]", #""32""#, 32), ("Optional[int]", #""null""#, nil), ("Optional[int]", "null", nil),
    ("Optional[str]", #""null""#, "null"), ("Optional[str]", "null", nil), ("Any", #""32""#, "32"),
    ("Any", "[1,{}]", [1, [:]]),
    ("Any", #"{"$bytes":"AA=="}"#, .bytes([0])), ("Any", #"{"$bytes":"A"}"#, ["$bytes": "A"]),
    ("Optional[bytes]", #""AA==""#, .bytes([0])), ("Optional[bytes]", #""None""#, nil),
    ("bytes", #""\u0041A==""#, .bytes([0])), ("bytes", #"{ "\u0024bytes" : "AA\u003d=" }"#, .bytes([0])),
    ("float", "100000000000000000000", 1e20), ("float", "-9223372036854775809", -9223372036854775809.0),
    ("float", #""100000000000000000000""#, 1e20),
    ("List[float]", "[1,100000000000000000000,2.5]", [1.0, 1e20, 2.5]),
    ("Optional[float]", "100000000000000000000", 1e20), ("Any", "9223372036854775807", .int(.max)),
    ("Dict[str, List[Any]]", #" { "a" : [ 1 , [ ] , { } ] , "b" : [ ] } "#, ["a": [1, [], [:]], "b": []]),
    ("Any", #"{"é":1,"e\u0301":2}"#, ["é": 1, "e\u{301}": 2]),
    ("str", #""a\"\\\/\b\f\n\r\tz\u00e9\ud83c\udf0d""#, "a\"\\/\u{8}\u{c}\n\r\tzé🌍"),
  ]

  @Test("an argument is decoded by its declared type", arguments: arguments.indices)
  func decodes(index: Int) throws {
    let (type, json, value) = Self.arguments[index]
    #expect(try decoded(Self.line(json, as: type)) == [value])
  }

  @Test("NaN is a float by its name")
  func notANumber() throws {
    #expect(try decoded(Self.line(#""NaN""#, as: "float"))[0].floatValue?.isNaN == true)
  }

  static let mismatches: [(String, String, String)] = [
    ("int", #""x""#, "argument 1: 'x' cannot be read as int: byte 0: expected a value, found 'x'"),
    ("int", "1.0", "argument 1: expected int, found float 1.0"),
    (
      "int", #""9223372036854775808""#,
      "argument 1: 9223372036854775808 does not fit a signed 64-bit integer"
    ),
    (
      "int", "100000000000000000000", "argument 1: 100000000000000000000 does not fit a signed 64-bit integer"
    ),
    ("Any", "-9223372036854775809", "argument 1: -9223372036854775809 does not fit a signed 64-bit integer"),
    ("str", "100000000000000000000", "argument 1: expected str, found float 100000000000000000000"),
    ("float", "1e400", "argument 1: 1e400 does not fit a float"),
    ("Any", "[-1e400]", "argument 1: -1e400 does not fit a float"),
    (
      "float", "1" + String(repeating: "0", count: 400),
      "argument 1: 1\(String(repeating: "0", count: 39))… does not fit a float"
    ),
    ("str", #""\ud800""#, #"argument 1: the str "\ud800" holds half a surrogate pair"#),
    ("Any", #"["\ud800\u0041"]"#, #"argument 1: the str "\ud800\u0041" holds half a surrogate pair"#),
    ("int", #""\ud800""#, #"argument 1: the str "\ud800" holds half a surrogate pair"#),
    ("Any", #"{"\udc00":1}"#, #"argument 1: the str "\udc00" holds half a surrogate pair"#),
    ("Any", #"{"a":1,"a":2}"#, "argument 1: the key 'a' occurs twice"),
    ("Dict[str, int]", #"{"a":1,"b":2,"\u0061":3}"#, "argument 1: the key 'a' occurs twice"),
    (
      "List[Dict[str, int]]", #"[{"a":1},{"a":1,"k":{},"b":2}]"#,
      "argument 1: expected int, found Dict[str, ?] {}"
    ),
    ("Any", #"[{"x":{"a":1,"b":{"a":1}},"a":1,"x":0}]"#, "argument 1: the key 'x' occurs twice"),
    ("str", "32", "argument 1: expected str, found int 32"),
    ("bool", "1", "argument 1: expected bool, found int 1"),
    ("bytes", #""A""#, "argument 1: a str that is not base64 where bytes are declared"),
    ("List[int]", #"["1"]"#, #"argument 1: expected int, found str "1""#),
    ("List[int]", #""[1.5]""#, "argument 1: expected int, found float 1.5"),
    ("Dict[str, int]", "[]", "argument 1: expected Dict[str, int], found List[?] []"),
  ]

  @Test("an argument that does not fit is told which and why", arguments: mismatches.indices)
  func mismatch(index: Int) throws {
    let (type, json, message) = Self.mismatches[index]
    #expect(throws: JSONMismatch(message)) { try decoded(Self.line(json, as: type)) }
    // All of that is JSON: the line is a request, and its id is known.
    #expect(try request(Self.line(json, as: type)).id == JSONDialect.ID(7))
  }

  @Test(
    "an object's keys are compared by their bytes, however many there are", arguments: [1, 8, 9, 17, 1000])
  func manyKeys(count: Int) throws {
    func object(_ last: String) -> String {
      "{" + ((0..<count - 1).map { "\"k\($0)\":\($0)" } + ["\"\(last)\":0"]).joined(separator: ",") + "}"
    }
    #expect(try decoded(Self.line(object("z"), as: "Any"))[0].mapValue?.count == count)
    guard count > 1 else { return }
    #expect(throws: JSONMismatch("argument 1: the key 'k0' occurs twice")) {
      try decoded(Self.line(object("\\u006b0"), as: "Any"))
    }
  }

  @Test("as many types as arguments")
  func countsDiffer() {
    #expect(
      throws: JSONDialect.Rejection(
        id: JSONDialect.ID(7), error: RPCError(.invalidArguments, "2 arguments, but 1 argument type"))
    ) { try request(Self.line("1,2", as: "int")) }
  }

  /// Lines that are not JSON, with the id that can be found in them.
  static let broken: [(String, Value?)] = [
    (#"{"header":"RPC-REQ","value":{"id":5,"service":"s" "rpc":"r"}}"#, 5),
    (#"{"header":"RPC-REQ","value":{"service":"s","rpc":"r","arguments":[01],"id":"x"}}"#, "x"),
    (#"{"header":"RPC-REQ","value":{"arguments":["\x"],"id":{"n":[1]}}}"#, ["n": [1]]),
    (#"{"header":"RPC-REQ","value":{"id":5"#, nil),
    (#"{"header":"RPC-REQ","value":{"id":5,"#, 5),
    (#"{"header":"RPC-REQ","value":{"arguments":[{"id":4}],"id":5,}}"#, 5),
    (#"{"meta":{"id":4},"value":{"id":5,}}"#, 5),
    (#"{"id":4,"value":{,}}"#, nil),
    (#"{"header":"RPC-REQ","value":{"text":"a"id":5}}"#, nil),
    (#"{"header":"RPC-REQ","value":{"id":,"id":5,}}"#, 5),
    ("nonsense", nil), ("", nil), (#"{"value":{"id":"\#(String(repeating: "x", count: 2000))",}}"#, nil),
    ("{\"header\":\"RPC-REQ\",\"value\":{\"id\":5,\"service\":\"a\tb\"}}", 5),
  ]

  @Test(
    "the error of a line that is not JSON carries its id where one can be found", arguments: broken.indices)
  func brokenLine(index: Int) {
    let (line, id) = Self.broken[index]
    do {
      _ = try request(line)
      Issue.record("\(line) is a request")
    } catch {
      #expect(error.id == id.map { JSONDialect.ID($0) })
      #expect(error.error.exception == .protocolError)
    }
  }

  @Test("an id is echoed as it was written, up to its limit")
  func ids() throws {
    for id in ["100000000000000000000", "1e400", #"{"a":1,"a":2}"#, #""\ud800""#, " [ 1,\t2 ]"] {
      let request = try request(Self.line("1", as: "int", id: id))
      var queue = ByteQueue()
      try JSONDialect.appendResult(messagePack: Value.list([1]).messagePack, id: request.id, to: &queue)
      let echoed = id.drop { $0 == " " }
      #expect(
        String(decoding: queue.copy(), as: UTF8.self)
          == #"{"header":"RPC-RES","value":{"id":\#(echoed),"return-values":[1]}}"# + "\n")
    }
    let limit = WireLimits.jsonIDBytesMax
    let longest = "\"" + String(repeating: "i", count: limit - 2) + "\""
    #expect(try request(Self.line("1", as: "int", id: longest)).id?.description == longest)
    #expect(
      throws: JSONDialect.Rejection(
        id: nil,
        error: RPCError(
          .protocolError, "\"id\" is \(limit + 1) bytes long, the limit is \(limit)", actual: limit + 1,
          limit: limit, unit: .bytes))
    ) { try request(Self.line("1", as: "int", id: " " + longest.dropLast() + "i\"")) }
  }

  static let malformed: [(String, String)] = [
    ("{", "the line is not JSON: byte 1: expected a key in double quotes, found the end"),
    ("[]", #"a request is an object with "header" and "value""#),
    (#"{"header":"RPC-RES","value":{}}"#, #"the header of a request is "RPC-REQ", found "RPC-RES""#),
    (#"{"header":"RPC-REQ","value":1}"#, "the value of a request is an object"),
    (#"{"header":"RPC-REQ","value":{"rpc":"r"}}"#, #""service" is missing: a name in double quotes"#),
    (
      #"{"header":"RPC-REQ","value":{"service":"s"}}"#, #""rpc" is missing: a name in double quotes"#
    ),
    (#"{"header":"RPC-REQ","value":{"service":"","rpc":"r"}}"#, #""service" is empty"#),
    (
      #"{"header":"RPC-REQ","value":{"service":"s","rpc":"r","service":"s"}}"#,
      "the key 'service' occurs twice"
    ),
    (#"{"header":"RPC-REQ","header":"RPC-REQ","value":{}}"#, "the key 'header' occurs twice"),
    (
      #"{"header":"RPC-REQ","value":{"service":"\ud800","rpc":"r"}}"#,
      #""service" holds half a surrogate pair"#
    ),
    (#"{"header":"RPC-REQ","value":{"service":"s","rpc":1}}"#, #""rpc" is a name in double quotes"#),
    (#"{"header":"RPC-REQ","value":{"service":"s","rpc":"r","arguments":1}}"#, #""arguments" is a list"#),
    (
      #"{"header":"RPC-REQ","value":{"service":"s","rpc":"r","timeout":0}}"#,
      #""timeout" is a number of seconds above 0, at most 86400"#
    ),
    (
      #"{"header":"RPC-REQ","value":{"service":"s","rpc":"r","args":1}}"#,
      "'args' is not a field of a request, which has id, service, rpc, arguments, argument-types, return-types, timeout, client"
    ),
    (
      #"{"header":"RPC-REQ","value":{"service":"s","rpc":"r","return-types":"int"}}"#,
      #""return-types" is a list of types"#
    ),
  ]

  @Test("a line that is no request is told why", arguments: malformed.indices)
  func refuses(index: Int) {
    let (line, message) = Self.malformed[index]
    #expect(throws: JSONDialect.Rejection(id: nil, error: RPCError(.protocolError, message))) {
      try request(line)
    }
  }

  @Test("a line with two ids is answered with the first")
  func twoIDs() {
    #expect(
      throws: JSONDialect.Rejection(
        id: JSONDialect.ID(8), error: RPCError(.protocolError, "the key 'id' occurs twice"))
    ) { try request(#"{"header":"RPC-REQ","value":{"id":8,"id":9,"service":"s","rpc":"r"}}"#) }
  }

  @Test("a name is taken up to its limit")
  func nameLimit() throws {
    let limit = WireLimits.nameBytesMax
    func line(_ count: Int) -> String {
      #"{"header":"RPC-REQ","value":{"service":"\#(String(repeating: "s", count: count))","rpc":"r"}}"#
    }
    #expect(try request(line(limit)).service.utf8.count == limit)
    #expect(throws: JSONDialect.Rejection.self) { try request(line(limit + 1)) }
  }

  @Test("answers are one line each")
  func answers() throws {
    var queue = ByteQueue()
    try JSONDialect.appendResult(messagePack: Value.list(["32hello", 1.0]).messagePack, id: nil, to: &queue)
    try JSONDialect.appendResult(messagePack: Value.list([]).messagePack, id: JSONDialect.ID("x"), to: &queue)
    JSONDialect.appendException(
      RPCError(.executionException, "bad\nthing", executed: .yes, source: "rpc1.py:3"), id: JSONDialect.ID(7),
      to: &queue)
    JSONDialect.appendException(
      RPCError(.resourceExhausted, "full", actual: 2, limit: 1, unit: .calls, retryAfterMilliseconds: 50),
      id: nil,
      to: &queue)
    let lines = """
      {"header":"RPC-RES","value":{"return-values":["32hello",1.0]}}
      {"header":"RPC-RES","value":{"id":"x","return-values":[]}}
      {"header":"RPC-EX","value":{"id":7,"exception-type":"ExecutionException","exception-message":"bad\\nthing",\
      "code":2,"executed":"yes","source":"rpc1.py:3"}}
      {"header":"RPC-EX","value":{"exception-type":"ResourceExhausted","exception-message":"full","code":8,\
      "executed":"no","actual":2,"limit":1,"unit":"calls","retry-after-ms":50}}

      """
    #expect(String(decoding: queue.copy(), as: UTF8.self) == lines)
  }

  @Test(
    "a result is written from MessagePack as its value is written", arguments: MessagePackTests.values.indices
  )
  func results(index: Int) throws {
    let value = MessagePackTests.values[index]
    var queue = ByteQueue()
    let bytes = value.messagePack
    var reader = MessagePackReader(bytes.span.bytes)
    try queue.appendJSON(messagePack: &reader)
    #expect(String(decoding: queue.copy(), as: UTF8.self) == value.json)
    #expect(reader.remaining == 0)
  }

  @Test("where a result is no MessagePack, nothing of it is written")
  func wrongResults() {
    var queue = ByteQueue()
    for bytes in [
      [], [0x01], [0x91], [0x91, 0xc1], [0x91, 0xa1, 0xff], [0x90, 0x01], [0x91, 0x81, 0x01, 0x01],
    ]
      as [[UInt8]]
    {
      #expect(throws: WireError.self) {
        try JSONDialect.appendResult(messagePack: bytes, id: nil, to: &queue)
      }
      #expect(queue.copy().isEmpty)
    }
  }
}
