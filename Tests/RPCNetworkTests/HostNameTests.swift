import Testing

@testable import RPCNetwork

@Suite("Names of hosts")
struct HostNameTests {
  @Test(
    "a host name is labels of letters, digits, '-' and '_', and does not end in a number",
    arguments: [
      ("localhost", true), ("localhost.", true), ("a.b-c.d_e", true), ("1.example", true),
      ("0x7f.example", true),
      ("", false), (".", false), ("..", false), ("a..", false), ("a..b", false), ("-a", false), ("a-", false),
      ("1.2.3", false), ("127.1", false), ("0x7f.0.0.1", false), ("0x7f000001", false), ("a.0X", false),
      ("a.0xfg", true), ("2130706433", false), ("a.1.", false), ("é", false), ("a b", false),
      ("a\u{301}", false),
      (String(repeating: "a", count: 63), true), (String(repeating: "a", count: 64), false),
      (String(repeating: "a.", count: 126) + "a", true), (String(repeating: "a.", count: 126) + "a.", true),
      (String(repeating: "a.", count: 126) + "ab", false),
    ])
  func hostNames(name: String, isValid: Bool) {
    #expect(HostName.isValid(name) == isValid)
  }
}
