import RPCKeys
import RPCNetwork
import TestSupport
import Testing

@testable import RPCDeployment

@Suite("Certificates in an init.yaml")
struct InitFileCertificateTests {
  private static let pin = "sha256//AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="

  private static func parse(server: String = "", client: String = "ip: 127.0.0.1", network: String = "")
    -> Result<
      Topology, InitFileErrors
    >
  {
    let directory = TemporaryDirectory(inMemory: true)
    do {
      try directory.write("-----BEGIN CERTIFICATE-----\n", to: "ca.pem")
      try directory.write("nothing\n", to: "empty.pem")
      try directory.write(
        String(repeating: "-----BEGIN CERTIFICATE-----\n", count: 3000), to: "large.pem")
    } catch {
      Issue.record(error)
    }
    let text = """
      network:
      \(network)
        servers:
          - s1: {ip: 127.0.0.1, port: 8181\(server)}
        clients:
          - c1: {\(client)}
      """
    do throws(InitFileErrors) {
      return .success(try InitFile.parse(Array(text.utf8), path: directory.path + "/init.yaml").network)
    } catch {
      return .failure(error)
    }
  }

  @Test("a server has a pin, or authorities from a file beside the init.yaml; without either it has none")
  func servers() throws {
    #expect(try Self.parse().get().servers[0].certificate == nil)
    let pinned = try Self.parse(server: ", certificate: \"\(Self.pin)\"").get().servers[0]
    #expect(pinned.certificate?.description == Self.pin && pinned.authorities == nil)
    let vouched = try Self.parse(network: "  ca: ca.pem").get().servers[0]
    #expect(vouched.authorities == "-----BEGIN CERTIFICATE-----\n")
  }

  @Test("a client is known by a pin, by a name, or by a token, without an address")
  func clients() throws {
    #expect(
      try Self.parse(client: "certificate: \"\(Self.pin)\"").get().clients[0].certificate?.description
        == Self.pin)
    #expect(
      try Self.parse(client: "certificate: batch.test").get().clients[0].certificate == .name("batch.test"))
    #expect(try Self.parse(client: "token: \"\(Self.pin)\"").get().clients[0].token?.description == Self.pin)
  }

  @Test(
    "what is wrong is told with what would be right",
    arguments: [
      (", certificate: abc", "ip: 127.0.0.1", "", "'certificate': 'abc' is not a pin; write sha256//BASE64"),
      (", certificate: sha256//AAAA", "ip: 127.0.0.1", "", "is not the base64 of 32 bytes"),
      ("", "certificate: \"a b\"", "", "is neither a pin, sha256//BASE64, nor a name"),
      ("", "token: secret", "", "'secret' is not the SHA-256 of a token; write sha256//BASE64"),
      ("", "port: 6000", "", "needs an 'ip' that it calls from"),
      ("", "ip: 127.0.0.1", "  ca: none.pem", "cannot read 'ca' 'none.pem': no such file"),
      ("", "ip: 127.0.0.1", "  ca: empty.pem", "'ca' 'empty.pem' holds no certificate in PEM"),
      ("", "ip: 127.0.0.1", "  ca: large.pem", "bytes, the limit is \(DeploymentLimits.authoritiesBytesMax)"),
    ])
  func errors(server: String, client: String, network: String, message: String) {
    switch Self.parse(server: server, client: client, network: network) {
    case .success: Issue.record("it was taken")
    case .failure(let errors): #expect(errors.description.contains(message), "\(errors)")
    }
  }
}
