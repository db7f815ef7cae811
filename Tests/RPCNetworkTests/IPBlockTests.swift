import Testing

@testable import RPCNetwork

@Suite("IP ranges")
struct IPBlockTests {
  static let members: [(block: String, address: String, isMember: Bool)] = [
    ("127.0.0.1", "127.0.0.1", true), ("127.0.0.1", "127.0.0.2", false), ("10.0.0.0/8", "10.255.1.2", true),
    ("10.0.0.0/8", "11.0.0.0", false), ("0.0.0.0/0", "1.2.3.4", true), ("0.0.0.0/0", "::1", false),
    ("::1", "::1", true), ("fd00::/8", "fdff::1", true), ("fd00::/8", "fe00::1", false),
    ("10.0.0.0/9", "10.127.0.0", true), ("10.0.0.0/9", "10.128.0.0", false),
    ("127.0.0.1", "::ffff:127.0.0.1", true), ("::ffff:127.0.0.1", "127.0.0.1", true),
    ("::ffff:10.0.0.0/104", "10.1.2.3", true), ("::ffff:10.0.0.0/104", "11.1.2.3", false),
    ("10.1.2.3/32", "10.1.2.3", true), ("10.1.2.3/32", "10.1.2.2", false), ("128.0.0.0/1", "128.0.0.0", true),
    ("128.0.0.0/1", "127.255.255.255", false), ("10.1.2.2/31", "10.1.2.3", true),
    ("10.1.2.2/31", "10.1.2.4", false), ("::/0", "fe80::1", true), ("::/0", "1.2.3.4", false),
    ("fd00::/127", "fd00::1", true), ("fd00::/127", "fd00::2", false),
  ]

  @Test(
    "a range holds its addresses and no others, and so does a client registered with it",
    arguments: members.indices)
  func contains(index: Int) throws {
    let (text, address, isMember) = Self.members[index]
    let block = try #require(IPBlock(parsing: text))
    let bytes = try #require(IPBlock.address(address))
    #expect(block.contains(bytes) == isMember)
    let rule = try #require(ClientRule(Topology.Client(name: "c", host: text)))
    #expect(rule.matches(address: bytes, port: 6000, Credentials()) == isMember)
  }

  @Test(
    "what is not a range is refused",
    arguments: [
      "", "/", "/8", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/+8", "10.1.2.3/8", "256.0.0.1",
      "1.2.3", "01.2.3.4x", "::1/129", "localhost", "1.2.3.4 ", "1.2.3.4\0", "fd00::1/8", "10.0.0.0/8/8",
    ])
  func refused(text: String) {
    #expect(IPBlock(parsing: text) == nil)
  }

  @Test("a range prints as it is written", arguments: ["127.0.0.1", "10.0.0.0/8", "::1", "fd00::/8"])
  func description(text: String) {
    #expect(IPBlock(parsing: text)?.description == text)
  }
}
