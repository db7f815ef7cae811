import RPCKeys
import Testing

@testable import RPCNetwork

@Suite("Who a caller is")
struct ClientRuleTests {
  static let keys = [PrivateKey.random().publicKey, PrivateKey.random().publicKey]

  struct Case: CustomTestStringConvertible {
    var testDescription: String
    var client: Topology.Client
    var address = "10.1.2.3"
    var port = 6000
    var key: PublicKey?
    var matches: Bool
    /// Before any key is proven.
    var mayMatch: Bool

    init(
      _ what: String, _ client: Topology.Client, from address: String = "10.1.2.3", port: Int = 6000,
      proving key: PublicKey? = nil, _ matches: Bool, before mayMatch: Bool? = nil
    ) {
      testDescription = what
      self.client = client
      self.address = address
      self.port = port
      self.key = key
      self.matches = matches
      self.mayMatch = mayMatch ?? matches
    }
  }

  static func client(
    _ host: String? = nil, port: UInt16? = nil, key: PublicKey? = nil
  ) -> Topology.Client {
    Topology.Client(name: "c", host: host, port: port, key: key)
  }

  static let cases: [Case] = [
    Case("its address", client("10.1.2.3"), true),
    Case("another address", client("10.1.2.4"), false),
    Case("its network", client("10.0.0.0/8"), true),
    Case("another network", client("11.0.0.0/8"), false),
    Case("its port", client("10.1.2.3", port: 6000), true),
    Case("another port", client("10.1.2.3", port: 6001), false),
    Case("its address as a dual-stack socket shows it", client("10.1.2.3"), from: "::ffff:10.1.2.3", true),
    Case("the same bits of another family", client("::/0"), false),
    Case("its key", client(key: keys[0]), proving: keys[0], true),
    Case("another key", client(key: keys[0]), proving: keys[1], false, before: true),
    Case("no key, where one is registered", client(key: keys[0]), false, before: true),
    Case("a key, where none is registered", client("10.1.2.3"), proving: keys[0], true),
    Case("its key from its address", client("10.1.2.3", key: keys[0]), proving: keys[0], true),
    Case("its key from another address", client("10.1.2.4", key: keys[0]), proving: keys[0], false),
    Case("its key from another port", client(port: 1, key: keys[0]), proving: keys[0], false),
    Case("its address without its key", client("10.1.2.3", key: keys[0]), false, before: true),
  ]

  @Test("is told by address, port and key", arguments: cases)
  func table(one: Case) throws {
    let rule = try #require(ClientRule(one.client))
    let address = try #require(IPBlock.address(one.address))
    #expect(rule.matches(address: address, port: one.port, Credentials(key: one.key)) == one.matches)
    #expect(rule.matches(address: address, port: one.port) == one.mayMatch)
  }

  @Test("any one of a key, a certificate and a token is enough, each of its own kind alone")
  func credentials() throws {
    let pin = try CertificatePin(digest: [UInt8](repeating: 1, count: 32))
    let other = try CertificatePin(digest: [UInt8](repeating: 2, count: 32))
    let bearer = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
    let token = try #require(TokenDigest(bearer: bearer))
    var client = Topology.Client(name: "c", key: Self.keys[0], certificate: .pin(pin), token: token)
    func matches(_ change: (inout Credentials) -> Void) throws -> Bool {
      var shown = Credentials()
      change(&shown)
      return try #require(ClientRule(client)).matches(address: [10, 1, 2, 3], port: 1, shown)
    }
    #expect(try !matches { _ in })
    #expect(try matches { $0.key = Self.keys[0] })
    #expect(try matches { $0.certificateKey = Self.keys[0] })
    #expect(try !matches { $0.certificateKey = Self.keys[1] })
    #expect(try matches { $0.certificate = pin })
    #expect(try !matches { $0.certificate = other })
    #expect(try matches { $0.token = token })
    #expect(try !matches { $0.token = TokenDigest(bearer: "BAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=") })
    #expect(try !matches { $0.names = ["c"] })
    client.certificate = .name("batch.test")
    #expect(try matches { $0.names = ["other.test", "batch.test"] })
    #expect(try !matches { $0.names = ["BATCH.test", "batch"] })
    #expect(try !matches { $0.certificate = pin })
    // An address restricts all of them.
    client.host = "10.1.2.4"
    #expect(try !matches { $0.token = token })
  }

  @Test("a token is 32 bytes in base64 or base64url, with or without padding, and kept as their SHA-256")
  func tokens() throws {
    let wanted = try TokenDigest(parsing: "sha256//Zmh6rfhivXdsj8GLjp+OIAiXFIVu4jOzkCpZHQ1fKSU=")
    let zeros = String(repeating: "A", count: 43)
    #expect(TokenDigest(bearer: zeros) == wanted)
    #expect(TokenDigest(bearer: zeros + "=") == wanted)
    #expect(
      TokenDigest(bearer: String(repeating: "_", count: 42) + "8")
        == TokenDigest(bearer: String(repeating: "/", count: 42) + "8="))
    for bad in ["", "A", String(repeating: "A", count: 42), zeros + "A", zeros + " ", "é" + zeros] {
      #expect(TokenDigest(bearer: bad) == nil, "\(bad)")
    }
    for bad in ["", "sha256//", "sha256//AAAA", "sha1//" + zeros + "=", zeros + "="] {
      #expect(throws: KeyError.self) { try TokenDigest(parsing: bad) }
      #expect(throws: KeyError.self) { try CertificatePin(parsing: bad) }
    }
    #expect(try CertificatePin(parsing: "sha256//" + zeros + "=").description == "sha256//" + zeros + "=")
    #expect(throws: KeyError.self) { try ClientCertificate(parsing: "two words") }
    #expect(throws: KeyError.self) { try ClientCertificate(parsing: String(repeating: "a", count: 256)) }
    #expect(try ClientCertificate(parsing: String(repeating: "a", count: 255)).description.count == 255)
  }

  @Test(
    "a client without address and key, or with an address that is none, is nobody",
    arguments: [
      client(), client(port: 6000), client("localhost"), client("10.1.2.3/8"),
      client("nonsense", key: keys[0]),
    ])
  func nobody(client: Topology.Client) {
    #expect(ClientRule(client) == nil)
  }
}
