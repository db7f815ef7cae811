import Foundation
import TestSupport
import Testing

/// HTTP/1.1 as clients of others speak it.
@Suite("HTTP, by clients of others")
struct HTTPClientTests {
  private static func network(_ options: [String] = []) throws -> Network {
    let network = try Network(options: options)
    try network.directory.write(
      """
      function add(a, b) return a + b end
      function divide(a, b)
        if b == 0 then
          error("cannot divide " .. a .. " by zero, é %")
        end
        return a // b, a % b
      end
      function nothing() end
      """, to: "math.lua")
    try network.describe(
      """
      service:
        - math: {providers: [s1], tenants: [me], rpcs: [add, divide, nothing]}
      rpc:
        math:
          - add: {args: [a: int, b: int], returns: [int], src: math.lua, idempotent: true}
          - divide: {args: [dividend: int, divisor: int], returns: [int, int], src: math.lua}
          - nothing: {args: [], returns: [], src: math.lua}
      """)
    try network.deploy()
    return network
  }

  private static func curl(_ arguments: String...) throws -> String {
    let outcome = try run("/usr/bin/curl", ["-sS", "--max-time", "30", "-w", " %{http_code}"] + arguments)
    guard outcome.ending == .code(0) else { throw Failure("curl: \(outcome)") }
    return outcome.output
  }

  @Test("curl calls procedures as the documents show")
  func curl() throws {
    let network = try Self.network()
    let address = "http://127.0.0.1:\(try network.port("s1"))"
    let json = "content-type: application/json"
    #expect(try Self.curl("-d", #"{"a":1,"b":2}"#, "-H", json, "\(address)/math/add") == #"{"result":3} 200"#)
    #expect(try Self.curl("--json", "[1,2]", "\(address)/math/add") == #"{"result":3} 200"#)
    #expect(try Self.curl("--json", "[7,2]", "\(address)/math/divide") == #"{"result1":3,"result2":1} 200"#)
    #expect(try Self.curl("--json", "{}", "\(address)/math/nothing") == "{} 200")
    #expect(
      try Self.curl("--json", #"{"a":1,"b":9007199254740992}"#, "\(address)/math/add")
        == #"{"result":"9007199254740993"} 200"#)
    let raised = try Self.curl("--json", "[1,0]", "\(address)/math/divide")
    #expect(raised.hasSuffix(" 500") && raised.contains("by zero, é %") && raised.contains("math.lua:4"))
    #expect(!raised.contains(network.directory.path))
    #expect(try Self.curl("-d", "{}", "\(address)/math/add").hasSuffix(" 415"))
    // A body that curl asks for first, one in chunks, and the old version.
    let large = "[1,2" + String(repeating: " ", count: 120_000) + "]"
    let file = try network.directory.write(large, to: "large.json")
    #expect(
      try Self.curl("-H", "expect: 100-continue", "--json", "@\(file)", "\(address)/math/add")
        == #"{"result":3} 200"#)
    #expect(
      try Self.curl("-H", "transfer-encoding: chunked", "--json", "@\(file)", "\(address)/math/add")
        == #"{"result":3} 200"#)
    #expect(try Self.curl("-0", "--json", "[1,2]", "\(address)/math/add") == #"{"result":3} 200"#)
    #expect(try Self.curl("\(address)/healthz") == "{\"status\":\"serving\"}\n 200")
    #expect(try Self.curl("-I", "\(address)/").hasPrefix("HTTP/1.1 200 OK"))
    #expect(try Self.curl("\(address)/metrics").contains("simplerpc_generation 1\n"))
  }

  @Test("the same inside of TLS, where a token is taken too")
  func encrypted() throws {
    let network = try Self.network(["--tls", "offered"])
    let url = "https://127.0.0.1:\(try network.port("s1"))/math/add"
    #expect(try Self.curl("-k", "--json", "[1,2]", "--http1.1", url) == #"{"result":3} 200"#)
    #expect(
      try Self.curl("-k", "--json", "[1,2]", "-H", "authorization: Bearer x", "--http1.1", url).hasSuffix(
        " 401"))
    #expect(try Self.curl("--json", "[1,2]", url.replacing("https", with: "http")) == #"{"result":3} 200"#)
  }

  @Test("a token names a client over HTTP, and only the client whose it is")
  func token() throws {
    let network = try Network()
    let token = "4d9ad3e1f3b0d0c7a6a2f1b38c5e9f0a"
    let digest = try run("/usr/bin/sha256sum", [], input: .text(token)).output.prefix(64)
    try network.directory.write("function add(a, b) return a + b end", to: "math.lua")
    try network.describe(
      """
      service:
        - math: {providers: [s1], tenants: [bot], rpcs: [add]}
      rpc:
        math:
          - add: {args: [a: int, b: int], returns: [int], src: math.lua}
      """, clients: "    - bot: {token: \(digest)}")
    try network.deploy()
    let url = "http://127.0.0.1:\(try network.port("s1"))/math/add"
    #expect(try Self.curl("--json", "[1,2]", url).hasSuffix(" 403"))
    #expect(
      try Self.curl("--json", "[1,2]", "-H", "authorization: Bearer \(token)", url) == #"{"result":3} 200"#)
    #expect(try Self.curl("--json", "[1,2]", "-H", "authorization: Bearer \(token)x", url).hasSuffix(" 401"))
    try network.server("s1").waitForLine("bot@127.0.0.1", on: .errors)
  }

  @Test("http.client of Python keeps a connection, sends chunks, and reads what fails")
  func python() throws {
    let network = try Self.network()
    let script = """
      import http.client, json, sys
      connection = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]), timeout=30)
      def ask(path, body, **options):
          connection.request("POST", path, body, {"content-type": "application/json"}, **options)
          answer = connection.getresponse()
          return answer.status, json.loads(answer.read())
      print(ask("/math/add", b'{"a":1,"b":2}'))
      socket = connection.sock
      print(ask("/math/add", iter([b"[1", b",2]"]), encode_chunked=True))
      status, error = ask("/math/divide", b"[1,0]")
      print(status, error["code"], error["details"][0]["debug"]["metadata"])
      for index in range(100):
          assert ask("/math/add", b"[%d,1]" % index) == (200, {"result": index + 1})
      connection.request("GET", "/metrics")
      page = connection.getresponse()
      print(page.status, "simplerpc_calls_total" in page.read().decode())
      print(connection.sock is socket)
      """
    let outcome = try run("/usr/bin/env", ["python3", "-c", script, "\(try network.port("s1"))"])
    #expect(
      outcome.output == """
        (200, {'result': 3})
        (200, {'result': 3})
        500 unknown {'executed': 'yes', 'source': 'math.lua:4'}
        200 True
        True

        """, "\(outcome)")
  }
}
