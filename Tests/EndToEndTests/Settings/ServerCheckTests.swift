import Foundation
import RPCWire
import TestSupport
import Testing

@Suite("rpc-server --check")
struct ServerCheckTests {
  static func finding(_ name: String, of outcome: Outcome) throws -> (isOK: Bool, text: String) {
    let line = try #require(outcome.lines.first { $0.dropFirst(8).hasPrefix(name) }, "\(name) in \(outcome)")
    return (line.hasPrefix("ok "), String(line.dropFirst(24)))
  }

  @Test("where all is well it says so, ends with 0 and has made nothing")
  func allIsWell() throws {
    let folder = TemporaryDirectory()
    let outcome = try run(
      Programs.server,
      [
        "127.0.0.1", "\(try FreePort.take())", "--check", "--tls", "offered", "--data", folder.file("a/b"),
        "--log-file", folder.file("log"), "--isolation", "none",
      ])
    #expect(outcome.ending == .code(0), "\(outcome)")
    for line in outcome.lines { #expect(line.hasPrefix("ok  "), "\(line)") }
    #expect(try Self.finding("data directory", of: outcome).text == "\(folder.file("a/b")) will be made")
    #expect(try Self.finding("certificate", of: outcome).text == "made at the first start")
    #expect(try Self.finding("Python", of: outcome).text.hasPrefix("Python 3."))
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == [])
  }

  @Test("each thing that is wrong is told, and the end is 1")
  func wrong() throws {
    let folder = TemporaryDirectory()
    try folder.write("rubbish", to: "deployers")
    try folder.write("rubbish", to: "certificate")
    try folder.write("rubbish", to: "key")
    chmod(folder.file("key"), 0o600)
    try folder.makeDirectory("data")
    try folder.write("rubbish", to: "data/server-key")
    chmod(folder.file("data/server-key"), 0o600)
    let network = try Network(["s1"])
    let port = try network.port("s1")
    let file = try folder.write(
      """
      host: 127.0.0.1
      port: \(port)
      data: data
      deployers: deployers
      tls: required
      tls-certificate: certificate
      tls-key: key
      log-file: \(folder.file("key/log"))
      """, to: "node.yaml")
    // Without a Python on the PATH.
    let outcome = try run(Programs.server, ["--config", file, "--check"], environment: ["PATH": "/nowhere"])
    #expect(outcome.ending == .code(1))
    #expect(try Self.finding("settings", of: outcome) == (true, "8 from \(file)"))
    for (name, text) in [
      ("address", "another process listens on this address already"),
      ("deployers", "\(folder.file("deployers")):1:"),
      ("certificate", "'\(folder.file("key"))' holds no private key"),
      ("server key", "this is not an OpenSSH private key"), ("log", "is not a directory"),
      ("Python", "'python3' was not found in PATH"),
    ] {
      let finding = try Self.finding(name, of: outcome)
      #expect(!finding.isOK && finding.text.contains(text), "\(name): \(finding)")
    }
    #expect(try folder.read("data/server-key") == "rubbish")
    #expect(!folder.exists("data/lock"))
  }

  @Test("a certificate is told by its pin, and one that has expired is wrong")
  func certificates() throws {
    let certificates = Certificates(directory: TemporaryDirectory())
    let authority = try certificates.authority("ca")
    let good = try certificates.signed("good", by: authority, usage: "serverAuth", names: "DNS:localhost")
    let late = try certificates.signed(
      "late", by: authority, usage: "serverAuth", names: "DNS:localhost", days: -1)
    func check(_ files: Certificates.Files, _ more: [String] = []) throws -> (isOK: Bool, text: String) {
      let data = certificates.directory.file("data")
      let outcome = try run(
        Programs.server,
        [
          "127.0.0.1", "0", "--data", data, "--check", "--tls", "required", "--tls-certificate",
          files.certificate,
        ]
          + ["--tls-key", files.key] + more)
      return try Self.finding("certificate", of: outcome)
    }
    #expect(try check(good, ["--tls-client-ca", authority.certificate]) == (true, try good.pin()))
    #expect(try check(late) == (false, "the certificate \(late.pin()) has expired: renew it"))
    let wrong = try certificates.directory.write("rubbish", to: "wrong-ca.pem")
    #expect(try !check(good, ["--tls-client-ca", wrong]).isOK)
    chmod(good.key, 0o644)
    #expect(try check(good).text.contains("chmod o= '\(good.key)'"))
  }

  @Test("settings that are wrong are the finding, with their places")
  func wrongSettings() throws {
    let folder = TemporaryDirectory()
    let file = try folder.write("host: a\nport: 99999\nhots: b\n", to: "node.yaml")
    let outcome = try run(Programs.server, ["--config", file, "--check"])
    #expect(outcome.ending == .code(1))
    #expect(
      outcome.lines == [
        "failed  settings        \(file):2:7: the port must be 0 to 65535, not 99999",
        "failed  settings        \(file):3:1: unknown key 'hots' (did you mean 'host'?)",
      ])
  }

  @Test("the server that runs with these settings is not in their way, and serves on")
  func running() throws {
    let network = try Network(["s1"])
    let port = try network.port("s1")
    let data = "\(network.directory.path)/data/s1"
    let outcome = try run(Programs.server, ["127.0.0.1", "\(port)", "--data", data, "--check"])
    let address = try Self.finding("address", of: outcome)
    #expect(address.isOK, "\(outcome)")
    #expect(address.text.contains("in use by the server of this data directory (process "), "\(outcome)")
    #expect(try Self.finding("server key", of: outcome).text.hasPrefix("SHA256:"), "\(outcome)")
    #expect(try network.lines().call("system.ping") == .values(["pong"]))
  }
}
