import Foundation
import RPCClient
import TestSupport
import Testing

@Suite("TLS, with whole programs and foreign clients")
struct TLSTests {
  static let script = "\(Programs.repository)/Tests/EndToEndTests/TLS/tls_client.py"
  static let pong = #"{"header":"RPC-RES","value":{"return-values":["pong"]}}"#

  /// The pin that a server tells when it starts.
  static func pin(of server: ChildProcess) throws -> String {
    let line = try server.waitForLine("certificate sha256//")
    return String(line.dropFirst("certificate ".count))
  }

  /// Runs the client of Python's.
  static func python(
    _ network: Network, _ way: String..., as files: Certificates.Files? = nil
  ) throws -> String {
    let port = try "\(network.port("s1"))"
    let arguments = ["python3", script, port, files?.certificate ?? "", files?.key ?? ""] + way
    return try run("/usr/bin/env", arguments).output.trimmingCharacters(in: .newlines)
  }

  /// Writes init.yaml with a service `test` of one procedure, `one`, and returns the file's name.
  @discardableResult
  static func describe(
    _ network: Network, server: String, network extra: String = "", clients: String = "",
    tenants: String = "me",
    to name: String = "init.yaml"
  ) throws -> String {
    try network.directory.write("def one(): return 1\n", to: "one.py")
    let lines = try network.ports.keys.sorted().map {
      "    - \($0): {ip: 127.0.0.1, port: \(try network.port($0))\(server)}"
    }
    return try network.directory.write(
      """
      network:
      \(extra)
        servers:
      \(lines.joined(separator: "\n"))
        clients:
          - me: {ip: 127.0.0.1}
      \(clients)
      service:
        - test: {providers: [s1], tenants: [\(tenants)], rpcs: [one]}
      rpc:
        test:
          - one: {args: [], returns: [int], src: one.py}
      """, to: name)
  }

  @Test("a small network: the server makes a key, init.yaml pins it, and every program of ours goes by that")
  func pinned() throws {
    let network = try Network(options: ["--tls", "required"])
    let pin = try Self.pin(of: network.server("s1"))
    // Asked for again it is the same, also while the server runs, and the key is its owner's alone.
    let data = "\(network.directory.path)/data/s1"
    let asked = try run(
      Programs.server, ["127.0.0.1", "\(network.port("s1"))", "--data", data, "--print-pin"])
    #expect(asked.output == pin + "\n")
    var status = stat()
    #expect(stat("\(data)/tls-key.pem", &status) == 0 && status.st_mode & 0o777 == 0o600)
    try Self.describe(network, server: ", certificate: \"\(pin)\"")
    try network.deploy()
    #expect(try network.shell("test.one").output == "1\n")
    let simplerpc = [
      "PYTHONPATH=\(Programs.repository)/Clients/python/src", "python3", "-B", "-m", "simplerpc",
    ]
    let port = try "\(network.port("s1"))"
    let called = ["127.0.0.1:\(port)", "test.one"]
    for trust in [["--pin", pin], ["--ca", "\(data)/tls-certificate.pem"]] {
      let outcome = try run("/usr/bin/env", simplerpc + trust + called)
      #expect(outcome.output == "1\n", "\(outcome)")
    }
    let other = "sha256//" + Data(count: 32).base64EncodedString()
    let refused = try run("/usr/bin/env", simplerpc + ["--pin", other] + called)
    #expect(refused.errors.contains("it has the certificate \(pin), expected was \(other)"), "\(refused)")
    let bench = try run(
      "\(Programs.directory)/rpc-bench",
      ["127.0.0.1", port, "system.ping", "--certificate", pin, "--count", "20", "--warmup", "0"])
    #expect(bench.ending == .code(0), "\(bench)")
    // A server that was started again has the key that it had.
    try network.server("s1").signal(SIGTERM)
    try network.server("s1").waitForEnd()
    try network.start("s1", options: ["--tls", "required"])
    #expect(try Self.pin(of: network.server("s1")) == pin)
    #expect(try network.shell("test.one").output == "1\n")
  }

  @Test("a procedure's call of another server goes by what init.yaml says of that server too")
  func nested() throws {
    let network = try Network(["s1", "s2"], start: false)
    var servers: [String] = []
    for name in ["s1", "s2"] {
      let address = [
        "127.0.0.1", "\(try network.port(name))", "--data", "\(network.directory.path)/data/\(name)",
      ]
      let told = try run(Programs.server, address + ["--print-pin"])
      let pin = told.output.trimmingCharacters(in: .newlines)
      servers.append(
        "    - \(name): {ip: 127.0.0.1, port: \(try network.port(name)), certificate: \"\(pin)\"}")
      try network.start(name, options: ["--tls", "required"])
      #expect(try Self.pin(of: network.server(name)) == pin)
    }
    try network.directory.write(
      "import rpc\ndef outer(): return rpc.call(\"s2\", \"test.inner\", 7)\ndef inner(number): return number\n",
      to: "test.py")
    try network.directory.write(
      """
      network:
        servers:
      \(servers.joined(separator: "\n"))
        clients:
          - me: {ip: 127.0.0.1}
      service:
        - test: {providers: [s1, s2], tenants: [me], rpcs: [outer, inner]}
      rpc:
        test:
          - outer: {args: [], returns: [int], src: test.py}
          - inner: {args: [int], returns: [int], src: test.py}
      """, to: "init.yaml")
    try network.deploy()
    let called = try network.shell("call s1 test.outer")
    #expect(called.output == "7\n", "\(called)")
  }

  @Test("a mistake is told in words: no pin, another pin, and TLS where there is none")
  func mistakes() throws {
    let network = try Network(options: ["--tls", "required"])
    let plain = try Self.describe(network, server: "")
    let told = try network.shell("ping s1")
    #expect(
      told.errors.contains("this port speaks TLS only") || told.output.contains("this port speaks TLS only"),
      "\(told)")
    #expect(try network.initialize().output.contains("this port speaks TLS only"))
    let line = try network.lines("s1").call("system.ping")
    #expect(line.exceptionMessage?.contains("this port speaks TLS only") == true)
    let wrong = "sha256//" + Data(repeating: 7, count: 32).base64EncodedString()
    try Self.describe(network, server: ", certificate: \"\(wrong)\"")
    let refused = try network.initialize()
    #expect(refused.output.contains("is not trusted: it has the certificate"), "\(refused)")
    #expect(refused.output.contains("expected was \(wrong)"), "\(refused)")
    withExtendedLifetime(plain) {}

    let other = try Network()
    try Self.describe(other, server: ", certificate: \"\(wrong)\"")
    let none = try other.initialize()
    #expect(none.output.contains("no TLS is spoken on this port"), "\(none)")
    let openssl = try run(
      "/usr/bin/env", ["openssl", "s_client", "-connect", "127.0.0.1:\(other.port("s1"))"], input: .text(""))
    #expect(openssl.errors.contains("wrong version number"), "\(openssl)")
    try other.server("s1").waitForLine(
      "this port speaks no TLS: start the server with --tls offered", on: .errors)
  }

  @Test("foreign clients: openssl, curl, Python's ssl by single bytes; TLS 1.2 and ends without close_notify")
  func foreign() throws {
    let network = try Network(options: ["--tls", "offered"])
    let pin = try Self.pin(of: network.server("s1"))
    let port = try network.port("s1")
    #expect(try network.lines("s1").call("system.ping").exceptionMessage == nil)
    #expect(try Self.python(network, "call") == Self.pong)
    #expect(try Self.python(network, "bytes") == Self.pong)
    #expect(try Self.python(network, "half") == "ended")
    try network.server("s1").waitForLine("it ended within a message, without TLS's close_notify", on: .errors)
    let old = try run(
      "/usr/bin/env", ["openssl", "s_client", "-tls1_2", "-connect", "127.0.0.1:\(port)"], input: .text(""))
    #expect(old.errors.contains("alert protocol version"), "\(old)")
    // The name that is agreed on decides; one that is not spoken is refused.
    for (name, said) in [
      ("simplerpc/1", "ALPN protocol: simplerpc/1"), ("unknown", "alert no application protocol"),
    ] {
      let outcome = try run(
        "/usr/bin/env", ["openssl", "s_client", "-alpn", name, "-connect", "127.0.0.1:\(port)"],
        input: .text(""))
      #expect((outcome.output + outcome.errors).contains(said), "\(outcome)")
    }
    // curl tells a pin that does not match by 90.
    for (given, isRight) in [(pin, true), ("sha256//" + Data(count: 32).base64EncodedString(), false)] {
      let curl = try run(
        "/usr/bin/env",
        ["curl", "-sk", "--no-alpn", "--http0.9", "--pinnedpubkey", given, "https://127.0.0.1:\(port)/"])
      #expect((curl.ending != .code(90)) == isRight, "\(curl)")
    }
    // What K says is a KeyUpdate that asks for one in turn.
    let client = try ChildProcess(
      "/usr/bin/env", ["openssl", "s_client", "-connect", "127.0.0.1:\(port)"], input: .pipe)
    defer { client.killAtOnce() }
    try client.waitForLine("Verify return code")
    for number in 1...3 {
      client.send("K\n")
      try client.waitFor(.errors, "KEYUPDATE \(number)") { said in
        said.components(separatedBy: "KEYUPDATE").count > number ? true : nil
      }
      client.send(#"{"header":"RPC-REQ","value":{"service":"system","rpc":"ping","arguments":[]}}"# + "\n")
      try client.waitFor(.output, "answer \(number)") { said in
        said.components(separatedBy: Self.pong).count > number ? true : nil
      }
    }
  }

  @Test("keys that change while a long answer waits for its reader cost nothing of it, nor the connection")
  func keyUpdateWhileBlocked() throws {
    let network = try Network(options: ["--tls", "offered", "--max-json", "16777216"])
    try network.directory.write("function big(count) return (\"x\"):rep(count) end", to: "test.lua")
    try network.describe(
      """
      service:
        - test: {providers: [s1], tenants: [me], rpcs: [big]}
      rpc:
        test:
          - big: {args: [count: int], returns: [str], src: test.lua}
      """)
    try network.deploy()
    let script = Self.script.replacing("tls_client", with: "tls_key_update")
    let outcome = try run("/usr/bin/env", ["python3", script, "\(network.port("s1"))", "12000000"])
    #expect(outcome.output == "all came\npong\n", "\(outcome)")
  }

  @Test("HTTP and gRPC that come plainly to a port of TLS are told what is wrong in their own way")
  func plainHTTP() throws {
    let network = try Network(options: ["--tls", "required"])
    let address = "127.0.0.1:\(try network.port("s1"))"
    let words = "this port speaks TLS only: over HTTP use https://"
    for path in ["system/ping", "healthz"] {
      let http = try run(
        "/usr/bin/env", ["curl", "-sS", "-w", " %{http_code}", "--json", "[]", "http://\(address)/\(path)"])
      #expect(http.output.contains(words) && http.output.hasSuffix(" 400"), "\(http)")
    }
    let script = """
      import grpc, sys
      try:
          grpc.insecure_channel(sys.argv[1]).unary_unary("/system/ping")(b"", timeout=20)
      except grpc.RpcError as error:
          print(error.code().name, error.details())
      """
    let python = try run(try InteropClients.program("python"), ["-c", script, address])
    #expect(python.output.contains(words), "\(python)")
  }

  @Test("HTTP/1.1, HTTP/2 and gRPC are spoken inside TLS, as ALPN says")
  func dialects() throws {
    let network = try Network(options: ["--tls", "required"])
    let address = "https://127.0.0.1:\(try network.port("s1"))"
    for (option, version) in [("--http1.1", "1.1"), ("--http2", "2")] {
      let curl = ["curl", "-sSk", option, "-w", " %{http_version}"]
      let health = try run("/usr/bin/env", curl + ["\(address)/healthz"])
      #expect(health.output == "{\"status\":\"serving\"}\n \(version)", "\(health)")
      let ping = try run("/usr/bin/env", curl + ["--json", "[]", "\(address)/system/ping"])
      #expect(ping.output == "{\"result\":\"pong\"} \(version)", "\(ping)")
      // What is refused says why, and calls with GET are what they are without TLS.
      let form = try run("/usr/bin/env", curl + ["-d", "{}", "\(address)/system/ping"])
      #expect(form.output.contains("which any page could send") && form.output.hasSuffix(version), "\(form)")
      let get = try run(
        "/usr/bin/env", curl + ["\(address)/system/ping?connect=v1&encoding=json&message=%5B%5D"])
      #expect(get.output.contains("--allow-get") || get.output.contains("idempotent"), "\(get)")
      let metrics = try run("/usr/bin/env", curl + ["\(address)/metrics"])
      #expect(metrics.output.contains("# TYPE simplerpc_generation gauge"), "\(metrics)")
    }
    let buf = try run(
      InteropClients.program("buf"),
      ["curl", "-k", "--protocol", "grpc", "-d", "{}", "\(address)/system/ping"])
    #expect(buf.output.contains(#""result": "pong""#), "\(buf)")
  }

  /// What all the others find, and how long they take, is for `Scripts/check-tls`.
  @Test(
    "testssl.sh finds nothing of medium severity or above in protocols, groups, defaults and renegotiation")
  func testssl() throws {
    let network = try Network(start: false)
    let certificates = Certificates(directory: network.directory)
    let authority = try certificates.authority("ca")
    let own = try certificates.signed(
      "server", by: authority, usage: "serverAuth", names: "DNS:localhost,IP:127.0.0.1", days: 200,
      algorithm: "rsa:2048")
    try network.start(
      "s1", options: ["--tls", "required", "--tls-certificate", own.certificate, "--tls-key", own.key])
    let found = network.directory.file("found.json")
    let outcome = try run(
      "/usr/bin/testssl",
      [
        "--quiet", "--color", "0", "--warnings=off", "--ip", "127.0.0.1", "--add-ca", authority.certificate,
        "--severity", "MEDIUM", "-oj", found, "-p", "-f", "-S", "-R", "-C", "localhost:\(network.port("s1"))",
      ])
    #expect(outcome.output.contains("TLS 1.3    offered (OK)"), "\(outcome)")
    let findings = try JSONDecoder().decode(
      [[String: String]].self, from: Data(contentsOf: URL(fileURLWithPath: found)))
    // The test's authority says nothing of revocation.
    let apart = ["cert_revocation"]
    for finding in findings where ["MEDIUM", "HIGH", "CRITICAL"].contains(finding["severity"]) {
      #expect(apart.contains(finding["id"] ?? ""), "\(finding)")
    }
  }

  @Test(
    "SIGHUP takes new certificates, cuts no connection and no session, and keeps the old where one is bad")
  func reload() throws {
    let network = try Network(start: false)
    let certificates = Certificates(directory: network.directory)
    let authority = try certificates.authority("ca")
    let first = try certificates.signed(
      "a", by: authority, usage: "serverAuth", names: "IP:127.0.0.1", algorithm: "rsa:2048")
    let server = try network.start(
      "s1", options: ["--tls", "required", "--tls-certificate", first.certificate, "--tls-key", first.key])
    #expect(try Self.pin(of: server) == first.pin())
    try Self.describe(network, server: "", network: "  ca: ca.pem")
    try network.deploy()
    #expect(try network.shell("test.one").output == "1\n")
    let held = try ChildProcess(
      "/usr/bin/env", ["python3", Self.script, "\(network.port("s1"))", "", "", "resume"], input: .pipe)
    defer { held.killAtOnce() }
    try held.waitForLine(Self.pong)
    // A bad file changes nothing.
    let good = try String(contentsOfFile: first.certificate, encoding: .utf8)
    try network.directory.write("no certificate\n", to: "a.pem")
    server.signal(SIGHUP)
    try server.waitForLine("the certificates stay as they were", on: .errors)
    #expect(try network.shell("test.one").output == "1\n")
    // A good one is shown from now on.
    let second = try certificates.signed(
      "b", by: authority, usage: "serverAuth", names: "IP:127.0.0.1", algorithm: "rsa:2048")
    try String(contentsOfFile: second.certificate, encoding: .utf8)
      .write(toFile: first.certificate, atomically: true, encoding: .utf8)
    try String(contentsOfFile: second.key, encoding: .utf8).write(
      toFile: first.key, atomically: true, encoding: .utf8)
    chmod(first.key, 0o600)
    server.signal(SIGHUP)
    try server.waitForLine("the certificate is read again: \(second.pin())", on: .errors)
    held.send("\n")
    try held.waitForLine("\(Self.pong) 20 of 20 resumed")
    try held.waitForEnd()
    #expect(held.outputText.components(separatedBy: Self.pong).count == 4, "\(held.outputText)")
    #expect(try network.shell("test.one").output == "1\n")
    withExtendedLifetime(good) {}
  }
}
