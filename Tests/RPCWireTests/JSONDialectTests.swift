import RPCWire
import Testing

@Suite("The json dialect")
struct JSONDialectTests {
  private func request(_ line: String) throws(JSONDialect.Rejection) -> JSONDialect.Request {
    var queue = ByteQueue()
    queue.append(line)
    return try JSONDialect.request(from: queue.bytes)
  }

  @Test("the request of the design is read")
  func example() throws {
    let line = """
      {"header":"RPC-REQ","value":{"service":"service1","rpc":"rpc1","arguments":\
      ["32","hello"],"argument-types":["int","str"],"return-types":["str"]}}
      """
    #expect(
      try request(line)
        == JSONDialect.Request(
          service: "service1", rpc: "rpc1", arguments: [32, "hello"], argumentTypes: [.int, .string],
          returnTypes: [.string]))
  }

  @Test("what may be left out may be left out, an id is kept, a timeout is in seconds")
  func optional() throws {
    #expect(
      try request(#"{"header":"RPC-REQ","value":{"service":"s","rpc":"r"}}"#)
        == JSONDialect.Request(service: "s", rpc: "r", arguments: []))
    #expect(
      try request(
        #"{"value":{"timeout":1.5,"rpc":"r","id":[1],"client":"c1","service":"s","arguments":["1",2]},"header":"RPC-REQ"}"#
      )
        == JSONDialect.Request(
          id: [1], service: "s", rpc: "r", arguments: ["1", 2], timeoutMicroseconds: 1_500_000, client: "c1"))
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
  ]

  @Test("an argument is decoded by its declared type", arguments: arguments.indices)
  func decodes(index: Int) throws {
    let (type, json, value) = Self.arguments[index]
    let line =
      #"{"header":"RPC-REQ","value":{"service":"s","rpc":"r","arguments":[\#(json)],"argument-types":["\#(type)"]}}"#
    #expect(try request(line).arguments == [value])
  }

  @Test("NaN is a float by its name")
  func notANumber() throws {
    let line =
      #"{"header":"RPC-REQ","value":{"service":"s","rpc":"r","arguments":["NaN"],"argument-types":["float"]}}"#
    #expect(try request(line).arguments[0].floatValue?.isNaN == true)
  }

  static let mismatches: [(String, String, String)] = [
    ("int", #""x""#, "argument 1: 'x' is no int (byte 0: expected a value, found 'x')"),
    ("int", "1.0", "argument 1: expected int, found float 1.0"),
    (
      "int", #""9223372036854775808""#,
      "argument 1: '9223372036854775808' is no int (byte 0: 9223372036854775808 does not fit a signed 64-bit integer)"
    ),
    ("str", "32", "argument 1: expected str, found int 32"),
    ("bool", "1", "argument 1: expected bool, found int 1"),
    ("bytes", #""A""#, "argument 1: a str that is not base64 where bytes are declared"),
    ("List[int]", #"["1"]"#, #"argument 1: expected int, found str "1""#),
    ("List[int]", #""[1.5]""#, "argument 1: expected int, found float 1.5"),
    ("Dict[str, int]", "[]", "argument 1: expected Dict[str, int], found List[?] []"),
    ("int", "1,2", "2 arguments, but 1 argument types"),
  ]

  @Test("an argument that does not fit is told which and why", arguments: mismatches.indices)
  func mismatch(index: Int) {
    let (type, json, message) = Self.mismatches[index]
    let line =
      #"{"header":"RPC-REQ","value":{"id":7,"service":"s","rpc":"r","arguments":[\#(json)],"argument-types":["\#(type)"]}}"#
    #expect(throws: JSONDialect.Rejection(id: 7, error: RPCError(.invalidArguments, message))) {
      try request(line)
    }
  }

  static let malformed: [(String, String)] = [
    ("{", "the line is not JSON: byte 1: expected a key in double quotes, found the end"),
    ("[]", #"a request is an object with "header" and "value""#),
    (#"{"header":"RPC-RES","value":{}}"#, #"the header of a request is "RPC-REQ", found "RPC-RES""#),
    (#"{"header":"RPC-REQ","value":1}"#, "the value of a request is an object"),
    (#"{"header":"RPC-REQ","value":{"rpc":"r"}}"#, #""service" is a name in double quotes"#),
    (#"{"header":"RPC-REQ","value":{"service":"s","rpc":1}}"#, #""rpc" is a name in double quotes"#),
    (#"{"header":"RPC-REQ","value":{"service":"s","rpc":"r","arguments":1}}"#, #""arguments" is a list"#),
    (
      #"{"header":"RPC-REQ","value":{"service":"s","rpc":"r","timeout":0}}"#,
      #""timeout" is a number of seconds above 0, at most 86400"#
    ),
    (
      #"{"header":"RPC-REQ","value":{"service":"s","rpc":"r","args":1}}"#,
      "'args' is no field of a request, which has id, service, rpc, arguments, argument-types, return-types, timeout, client"
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
  func answers() {
    var queue = ByteQueue()
    JSONDialect.appendResult(["32hello", 1.0], id: nil, to: &queue)
    JSONDialect.appendResult([], id: "x", to: &queue)
    JSONDialect.appendException(
      RPCError(.executionException, "bad\nthing", executed: .yes, source: "rpc1.py:3"), id: 7, to: &queue)
    JSONDialect.appendException(
      RPCError(.resourceExhausted, "full", actual: 2, limit: 1, retryAfterMilliseconds: 50), id: nil,
      to: &queue)
    let lines = """
      {"header":"RPC-RES","value":{"return-values":["32hello",1.0]}}
      {"header":"RPC-RES","value":{"id":"x","return-values":[]}}
      {"header":"RPC-EX","value":{"id":7,"exception-type":"ExecutionException","exception-message":"bad\\nthing",\
      "code":2,"executed":"yes","source":"rpc1.py:3"}}
      {"header":"RPC-EX","value":{"exception-type":"ResourceExhausted","exception-message":"full","code":8,\
      "executed":"no","actual":2,"limit":1,"retry-after-ms":50}}

      """
    #expect(String(decoding: queue.copy(), as: UTF8.self) == lines)
  }
}
