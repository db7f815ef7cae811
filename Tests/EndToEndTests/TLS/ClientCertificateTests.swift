import Foundation
import RPCClient
import TestSupport
import Testing

@Suite("Clients that are known by a certificate")
struct ClientCertificateTests {
  private static let answer = #"{"header":"RPC-RES","value":{"return-values":[1]}}"#

  @Test("a certificate is known by its key, or by a name that an authority vouches for; no other one is")
  func known() throws {
    let network = try Network(start: false)
    let certificates = Certificates(directory: network.directory)
    let authority = try certificates.authority("ca")
    let other = try certificates.authority("other")
    let named = try certificates.signed("named", by: authority, usage: "clientAuth", names: "DNS:batch.test")
    let pinned = try certificates.own("pinned")
    let server = try network.start(
      "s1", options: ["--tls", "required", "--tls-client-ca", authority.certificate])
    let pin = try TLSTests.pin(of: server)
    func describe(_ name: String) throws {
      try TLSTests.describe(
        network, server: ", certificate: \"\(pin)\"",
        clients: "    - web: {certificate: \"\(pinned.pin())\"}\n    - batch: {certificate: \(name)}",
        tenants: "web, batch")
      try network.deploy()
    }
    try describe("batch.test")
    #expect(try TLSTests.python(network, "call", "test.one", as: named) == Self.answer)
    #expect(try TLSTests.python(network, "call", "test.one", as: pinned) == Self.answer)
    // Without one, or with one of another, there is no right; what an authority does not vouch for is refused at once.
    #expect(try TLSTests.python(network, "call", "test.one").contains("ClientNotRegistered"))
    let stranger = try certificates.signed(
      "stranger", by: authority, usage: "clientAuth", names: "DNS:other.test")
    #expect(try TLSTests.python(network, "call", "test.one", as: stranger).contains("ClientNotRegistered"))
    let refused: [(Certificates.Files, String)] = [
      (
        try certificates.signed("foreign", by: other, usage: "clientAuth", names: "DNS:batch.test"),
        "unknown ca"
      ),
      (
        try certificates.signed("old", by: authority, usage: "clientAuth", names: "DNS:batch.test", days: -1),
        "certificate expired"
      ),
      (
        try certificates.signed("server", by: authority, usage: "serverAuth", names: "DNS:batch.test"),
        "unsupported certificate"
      ),
      (try certificates.own("batch.test"), "unknown ca"),
    ]
    for (files, alert) in refused {
      let said = try TLSTests.python(network, "call", "test.one", as: files)
      #expect(said.hasPrefix("failed:") && said.contains(alert), "\(files.certificate): \(said)")
    }
    // A generation without the name takes the right away from a connection that is open.
    let held = try ChildProcess(
      "/usr/bin/env",
      [
        "python3", TLSTests.script, "\(network.port("s1"))", named.certificate, named.key, "hold", "test.one",
      ],
      input: .pipe)
    defer { held.killAtOnce() }
    held.send("\n")
    try held.waitForLine(Self.answer)
    try describe("nobody.test")
    held.send("\n")
    try held.waitForLine("ClientNotRegistered")
  }

  @Test(
    "without an authority a certificate says which key its client has, and an Ed25519 key is the client's key"
  )
  func keys() throws {
    let network = try Network(options: ["--tls", "required"])
    let certificates = Certificates(directory: network.directory)
    let pin = try TLSTests.pin(of: network.server("s1"))
    let owner = try certificates.own("owner")
    try TLSTests.describe(
      network, server: ", certificate: \"\(pin)\"",
      clients: "    - owner: {key: \(owner.publicKey())}", tenants: "owner")
    try network.deploy()
    #expect(try TLSTests.python(network, "call", "test.one", as: owner) == Self.answer)
    let stranger = try TLSTests.python(network, "call", "test.one", as: certificates.own("stranger"))
    #expect(stranger.contains("ClientNotRegistered"), "\(stranger)")
  }

  @Test("the shell, rpc-bench and the initializer show a certificate, and are known by it")
  func ownPrograms() throws {
    let network = try Network(start: false)
    let certificates = Certificates(directory: network.directory)
    let deployer = try certificates.own("deployer")
    let web = try certificates.own("web")
    let deployers = try network.directory.write("\(try deployer.publicKey()) deployer\n", to: "deployers")
    let server = try network.start("s1", options: ["--tls", "required", "--deployers", deployers])
    let pin = try TLSTests.pin(of: server)
    try TLSTests.describe(
      network, server: ", certificate: \"\(pin)\"", clients: "    - web: {certificate: \"\(web.pin())\"}",
      tenants: "web")
    func flags(_ files: Certificates.Files) -> [String] {
      ["--tls-certificate", files.certificate, "--tls-key", files.key]
    }
    // Nobody's key may deploy but the certificate's.
    #expect(try network.initialize().ending == .code(1))
    #expect(try network.initialize(flags(web)).ending == .code(1))
    let deployed = try network.initialize(flags(deployer))
    #expect(deployed.ending == .code(0), "\(deployed)")
    #expect(try network.shell("test.one").errors.contains("ClientNotRegistered"))
    #expect(try network.shell("test.one", options: flags(web)).output == "1\n")
    let told = try network.shell("test.one", options: ["--tls-certificate", web.certificate])
    #expect(told.ending == .code(2) && told.errors.contains("go together"), "\(told)")
    let wrong = try network.shell(
      "test.one", options: ["--tls-certificate", web.certificate, "--tls-key", deployer.key])
    #expect(wrong.ending == .code(2) && wrong.errors.contains("cannot be used"), "\(wrong)")
    for mode in ["raw", "async", "blocking"] {
      let bench = try run(
        "\(Programs.directory)/rpc-bench",
        [
          "127.0.0.1", "\(network.port("s1"))", "test.one", "--certificate", pin, "--count", "20", "--warmup",
          "0",
        ]
          + ["--mode", mode] + flags(web))
      #expect(bench.ending == .code(0), "\(bench)")
    }
  }
}
