import Foundation
import TestSupport
import Testing

/// Clients of gRPC that others wrote, against real servers with real procedures. None of them has a file of ours.
@Suite("gRPC clients of other projects", .serialized)
struct GRPCInteropTests {
  /// The services of the repository's own init.yaml, on one server.
  static func network() throws -> Network {
    let network = try Network(["s1"], clients: ["c1"])
    let services = "\(Programs.repository)/services"
    try network.describe(
      """
      service:
        - text: {providers: [s1], tenants: [me], rpcs: [concat, join, count, shout]}
        - math: {providers: [s1], tenants: [me], rpcs: [add, divide, mean]}
        - clock: {providers: [s1], tenants: [me], rpcs: [now, wait]}
        - shop: {providers: [s1], tenants: [c1], rpcs: [price]}
      rpc:
        text:
          - concat: {args: [int, str], returns: [str], src: \(services)/text/concat.py}
          - concat: {args: [int, int], returns: [int], src: \(services)/text/concat_numbers.py}
          - join: {args: [words: "List[str]", separator: str], returns: [str], src: \(services)/text/text.lua}
          - count: {args: [text: str], returns: [int, int], src: \(services)/text/text.lua}
          - shout: {args: [text: str], returns: [str], src: \(services)/text/text.lua}
        math:
          - add: {args: [a: int, b: int], returns: [int], src: \(services)/math/math.lua, idempotent: true}
          - divide: {args: [dividend: int, divisor: int], returns: [int, int], src: \(services)/math/math.lua}
          - mean: {args: [numbers: "List[float]"], returns: [float], src: \(services)/math/mean.py}
        clock:
          - now: {args: [], returns: [str], src: \(services)/clock/clock.py}
          - wait: {args: [seconds: float], returns: [], src: \(services)/clock/clock.py}
        shop:
          - price: {args: [item: str], returns: [float], src: \(services)/shop/shop.py}
      """)
    try network.deploy()
    return network
  }

  @Test(
    "grpcio, grpclib, grpc_requests and the distribution's old grpcio call every procedure, knowing the port alone",
    arguments: ["grpcio_calls", "grpclib_calls", "grpc_requests_calls", "grpcio_old"])
  func python(script: String) throws {
    let network = try Self.network()
    let outcome = try run(
      script == "grpcio_old" ? "/usr/bin/python3" : try InteropClients.program("python"),
      ["\(Programs.repository)/Tests/Interop/\(script).py", "\(network.port("s1"))"])
    #expect(outcome.ending == .code(0), "\(outcome)")
    #expect(outcome.output.contains("all checks passed"))
  }

  @Test("buf curl calls by name, in gRPC and in gRPC-Web", arguments: ["grpc", "grpcweb"])
  func bufCurl(protocol kind: String) throws {
    let network = try Self.network()
    let address = "http://127.0.0.1:\(try network.port("s1"))"
    let options = ["curl", "--protocol", kind, "--http2-prior-knowledge"]
    let buf = try InteropClients.program("buf")
    let sum = try run(buf, options + ["-d", #"{"a":1,"b":2}"#, "\(address)/math/add"])
    #expect(sum.output.contains(#""result": "3""#), "\(sum)")
    let methods = try run(buf, options + ["--list-methods", address])
    for name in ["math/add", "text/concat__int_int", "system/ping"] {
      #expect(methods.output.contains(name), "\(methods)")
    }
    let services = try run(buf, options + ["--list-services", address])
    for name in ["math", "text", "system", "grpc.health.v1.Health"] {
      #expect(services.lines.contains(name), "\(services)")
    }
    let wrong = try run(buf, options + ["-d", #"{"dividend":1}"#, "\(address)/math/divide"])
    #expect(wrong.ending != .code(0) && wrong.errors.contains("cannot divide 1 by zero"), "\(wrong)")
  }

  @Test("buf curl calls in Connect's protocol, with the files that the initializer writes")
  func bufCurlConnect() throws {
    let network = try Self.network()
    let schema = network.directory.file("api")
    let written = try run(Programs.initializer, ["proto", schema, "--file", network.file])
    #expect(written.lines.contains("\(schema)/math.proto"), "\(written)")
    let address = "http://127.0.0.1:\(try network.port("s1"))"
    let buf = try InteropClients.program("buf")
    for options in [[], ["--http2-prior-knowledge"]] {
      let sum = try run(
        buf, ["curl", "--schema", schema] + options + ["-d", #"{"a":1,"b":2}"#, "\(address)/math/add"])
      #expect(sum.output.contains(#""result": "3""#), "\(sum)")
    }
  }

  /// Runs a client in Python, which says what is wrong.
  private func check(_ script: String, _ arguments: String...) throws {
    let outcome = try run(
      try InteropClients.program("python"), ["\(Programs.repository)/Tests/Interop/\(script).py"] + arguments)
    #expect(outcome.ending == .code(0), "\(outcome)")
  }

  @Test("a Connect client calls in Connect, gRPC and gRPC-Web, with protobuf and with JSON, over both HTTPs")
  func connectrpc() throws {
    let network = try Self.network()
    try check("connectrpc_calls", "\(network.port("s1"))")
  }

  @Test(
    "values of every kind and size come back by gRPC as they do natively, as gRPC's own tests of interoperability ask"
  )
  func values() throws {
    let network = try Network(["s1"])
    let declared = [
      "an_int: int", "a_float: float", "a_str: str", "some_bytes: bytes", "a_bool: bool",
      "lists: List[List[int]]", "a_dict: \"Dict[str, float]\"", "maybe: Optional[str]", "anything: Any",
    ].map { entry in
      let parts = entry.split(separator: ":", maxSplits: 1).map { $0.trimmingCharacters(in: .whitespaces) }
      let type = parts[1].hasPrefix("\"") ? parts[1] : "\"\(parts[1])\""
      return "\(parts[0]): {args: [value: \(type)], returns: [\(type)]}"
    }
    let others = [
      "kind: {args: [value: Any], returns: [str]}", "size: {args: [value: bytes], returns: [int]}",
      "nothing: {args: [], returns: []}", "blob: {args: [body: bytes, size: int], returns: [bytes]}",
      "metadata: {args: [name: str], returns: [str]}", "fail: {args: [message: str], returns: []}",
      "sleep: {args: [seconds: float], returns: []}",
    ]
    let names = (declared + others).map { $0.prefix { $0 != ":" } }
    let entries = (declared + others).map { "    - \($0.dropLast()), src: values.py}" }
    let source = try String(contentsOfFile: "\(Programs.repository)/Tests/Interop/values.py", encoding: .utf8)
    try network.directory.write(source, to: "values.py")
    try network.describe(
      """
      service:
        - values: {providers: [s1], tenants: [me], rpcs: [\(names.joined(separator: ", "))]}
      rpc:
        values:
      \(entries.joined(separator: "\n"))
      """)
    try network.deploy()
    try check("grpcio_values", "\(network.port("s1"))", "\(Programs.repository)/Clients/python")
  }

  @Test("every dialect at once on one port, in TLS and without, each byte alone")
  func onePort() throws {
    let network = try Network(["s1"], options: ["--tls", "offered", "--handshake-timeout", "60000"])
    try check("one_port", "\(network.port("s1"))", "10")
  }

  @Test("what RFC 9113 and RFC 7541 allow and forbid, frame by frame")
  func frames() throws {
    let network = try Self.network()
    try check("h2_cases", "\(network.port("s1"))")
  }

  @Test("h2load prints no error")
  func h2load() throws {
    let network = try Self.network()
    let body = network.directory.file("add")
    try Data([0, 0, 0, 0, 4, 8, 1, 16, 2]).write(to: URL(filePath: body))
    let outcome = try run(
      "/usr/bin/h2load",
      [
        "-n", "20000", "-c", "8", "-m", "50", "-d", body, "-H", "te: trailers", "-H",
        "content-type: application/grpc",
        "http://127.0.0.1:\(try network.port("s1"))/math/add",
      ])
    #expect(outcome.output.contains("20000 succeeded, 0 failed, 0 errored, 0 timeout"), "\(outcome)")
  }

  @Test("a deployment changes what reflection tells, and ends neither calls nor streams")
  func deployment() throws {
    let network = try Network(["s1"])
    try network.deployPython(
      ["add: {args: [int, int], returns: [int]}"], source: "def add(a, b): return a + b\n")
    let client = try ChildProcess(
      try InteropClients.program("python"),
      ["\(Programs.repository)/Tests/Interop/grpcio_deployment.py", "\(network.port("s1"))"], input: .pipe)
    try client.waitForLine("calling")
    try network.deployPython(
      ["add: {args: [int, int], returns: [int]}", "double: {args: [int], returns: [int]}"],
      source: "def add(a, b): return a + b\ndef double(a): return 2 * a\n")
    client.send("deployed\n")
    #expect(try client.waitForEnd() == .code(0), "\(client)")
  }

  @Test("a server that stops loses no call of a client that retries")
  func stop() throws {
    let network = try Network(["s1", "s2"])
    try network.deployPython(
      ["add: {args: [int, int], returns: [int]}"], source: "def add(a, b): return a + b\n")
    let client = try ChildProcess(
      try InteropClients.program("python"),
      [
        "\(Programs.repository)/Tests/Interop/grpcio_stop.py", "\(network.port("s1"))",
        "\(network.port("s2"))",
      ],
      input: .pipe)
    try client.waitForLine("calling")
    let server = try network.server("s1")
    server.signal(SIGTERM)
    #expect(try server.waitForEnd() == .code(0))
    client.send("stopped\n")
    #expect(try client.waitForEnd() == .code(0), "\(client)")
  }
}

/// The clients that `Scripts/setup --tests` installs.
enum InteropClients {
  /// The path of a program; `RPC_INTEROP_DIR` names another place.
  static func program(_ name: String) throws -> String {
    let directory =
      ProcessInfo.processInfo.environment["RPC_INTEROP_DIR"] ?? "\(Programs.repository)/.build/interop"
    let path = "\(directory)/bin/\(name)"
    guard FileManager.default.isExecutableFile(atPath: path) else {
      throw Failure(
        "there is no \(path): run Scripts/setup --tests, which installs Tests/Interop/requirements.txt")
    }
    return path
  }
}
