import Testing

@testable import RPCKeys

@Suite("Private keys in PEM")
struct PEMTests {
  /// RFC 8410, section 10.3.
  private static let text = """
    -----BEGIN PRIVATE KEY-----
    MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC
    -----END PRIVATE KEY-----
    """

  @Test("an Ed25519 key as OpenSSL writes it is read, wherever in the text it stands")
  func read() throws {
    let key = try #require(PrivateKey(pem: Self.text))
    // The public half that the RFC shows for it, in section 10.1.
    let published: [UInt8] = [
      0x19, 0xbf, 0x44, 0x09, 0x69, 0x84, 0xcd, 0xfe, 0x85, 0x41, 0xba, 0xc1, 0x67, 0xdc, 0x3b, 0x96, 0xc8,
      0x50,
      0x86, 0xaa, 0x30, 0xb6, 0xb6, 0xcb, 0x0c, 0x5c, 0x38, 0xad, 0x70, 0x31, 0x66, 0xe1,
    ]
    #expect(key.publicKey.bytes == published)
    let more = "a note\n" + Self.text.replacing("\n", with: " \r\n") + "\n-----BEGIN X-----\n"
    #expect(PrivateKey(pem: more)?.publicKey == key.publicKey)
  }

  @Test(
    "anything else is none",
    arguments: [
      "", "-----BEGIN PRIVATE KEY-----", "-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----",
      text.replacing("PRIVATE", with: "PUBLIC"), text.replacing("MC4C", with: "MC8C"),
      text.replacing("EdVhC", with: "EdVh"), text.replacing("hC\n", with: "hCAA\n"),
    ])
  func others(text: String) { #expect(PrivateKey(pem: text) == nil) }
}
