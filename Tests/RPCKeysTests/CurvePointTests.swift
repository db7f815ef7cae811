import RPCWire
import Testing

@testable import RPCKeys

@Suite("Public keys that are nobody's")
struct CurvePointTests {
  /// The eight points whose order divides 8, in their canonical form.
  private static let smallOrder = [
    "0100000000000000000000000000000000000000000000000000000000000000",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000080",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
  ]

  /// Other spellings of them: x = 0 with a sign, and y or the prime more.
  private static let respelled = [
    "0100000000000000000000000000000000000000000000000000000000000080",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
  ]

  private static func bytes(_ hexadecimal: String) -> [UInt8] {
    let digits = Array(hexadecimal)
    return stride(from: 0, to: digits.count, by: 2).compactMap {
      UInt8(String(digits[$0..<$0 + 2]), radix: 16)
    }
  }

  @Test("a point of small order is refused, however it is spelled", arguments: smallOrder + respelled)
  func refused(hexadecimal: String) throws {
    let bytes = Self.bytes(hexadecimal)
    #expect(bytes.count == 32)
    let error = try #require(throws: KeyError.self) { try PublicKey(bytes: bytes) }
    #expect(error.message.contains("small order") || error.message.contains("canonical form"), "\(error)")
    // In a text, as files and init.yaml have it.
    #expect(throws: error) { try PublicKey(parsing: PublicKey(checked: bytes).description) }
    // On the wire, from either side.
    let proof = Proof(
      key: bytes, server: "s1", ip: [127, 0, 0, 1], port: 1, signature: Self.anybodysSignature)
    #expect(throws: error) {
      try proof.key(provenFor: [1], in: ProofScope(serverKey: PrivateKey.random().publicKey.bytes))
    }
    #expect(throws: error) {
      try ServerProof(key: bytes, signature: Self.anybodysSignature).key(provenFor: [1])
    }
  }

  /// R is the base point and S is 1: that holds wherever the key falls out of the equation.
  private static let anybodysSignature: [UInt8] =
    [0x58] + [UInt8](repeating: 0x66, count: 31) + [1] + [UInt8](repeating: 0, count: 31)

  @Test("with the first of them anybody's signature would hold for every statement")
  func reason() throws {
    let key = PublicKey(checked: Self.bytes(Self.smallOrder[0]))
    for statement: [UInt8] in [[], [1], [UInt8](repeating: 7, count: 100)] {
      #expect(key.verifies(Self.anybodysSignature, of: statement))
    }
  }

  @Test("every coordinate from the prime up is refused, the ones below it are taken")
  func canonical() throws {
    for last: UInt8 in [0x7f, 0xff] {
      func coordinate(_ first: UInt8) -> [UInt8] { [first] + [UInt8](repeating: 0xff, count: 30) + [last] }
      for first in UInt8(0xed)...0xff {
        let error = #expect(throws: KeyError.self) { try PublicKey(bytes: coordinate(first)) }
        #expect(error?.message.contains("canonical form") == true)
      }
      #expect(try PublicKey(bytes: coordinate(0xeb)).bytes == coordinate(0xeb))
      #expect(throws: KeyError.self) { try PublicKey(bytes: coordinate(0xec)) }
    }
  }

  @Test("keys that were generated are taken")
  func generated() throws {
    for _ in 0..<1000 {
      let key = PrivateKey.random().publicKey
      #expect(try PublicKey(bytes: key.bytes) == key)
    }
  }

  @Test("a private key's file that names such a public half is refused")
  func privateFile() throws {
    let key = PrivateKey.random()
    let text = key.openSSHText(comment: "")
    #expect(try PrivateKey(parsing: text).publicKey == key.publicKey)
    // The public half stands twice among the secret bytes; here both are of small order.
    let bytes = Self.bytes(Self.smallOrder[4])
    var body = try #require(
      Base64.decode(text.split(separator: "\n").dropFirst().dropLast().joined()))
    for start in 0...body.count - 32 where Array(body[start..<start + 32]) == key.publicKey.bytes {
      body.replaceSubrange(start..<start + 32, with: bytes)
    }
    let damaged = [
      "-----BEGIN OPENSSH PRIVATE KEY-----", Base64.encode(body), "-----END OPENSSH PRIVATE KEY-----",
    ].joined(separator: "\n")
    let error = #expect(throws: KeyError.self) { try PrivateKey(parsing: damaged) }
    #expect(error?.message.contains("small order") == true)
  }
}
