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
    let raw = try run(
      "/bin/sh",
      [
        "-c",
        "openssl x509 -in \"$1\" -noout -pubkey | openssl pkey -pubin -outform DER | tail -c 32 | base64",
        "sh",
        owner.certificate,
      ])
    let bytes = try #require(Data(base64Encoded: raw.output.trimmingCharacters(in: .newlines)))
    let blob = Data([0, 0, 0, 11]) + Data("ssh-ed25519".utf8) + Data([0, 0, 0, 32]) + bytes
    try TLSTests.describe(
      network, server: ", certificate: \"\(pin)\"",
      clients: "    - owner: {key: ssh-ed25519 \(blob.base64EncodedString())}", tenants: "owner")
    try network.deploy()
    #expect(try TLSTests.python(network, "call", "test.one", as: owner) == Self.answer)
    let stranger = try TLSTests.python(network, "call", "test.one", as: certificates.own("stranger"))
    #expect(stranger.contains("ClientNotRegistered"), "\(stranger)")
  }
}
