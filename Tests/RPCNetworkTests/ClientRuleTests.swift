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
