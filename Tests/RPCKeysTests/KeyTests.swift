import Foundation
import RPCWire
import TestSupport
import Testing

@testable import RPCKeys

@Suite("Keys")
struct KeyTests {
  /// Made by ssh-keygen for these tests, and of use nowhere else.
  static func fixture(_ name: String) throws -> String {
    let folder = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../Fixtures/keys")
    return try String(contentsOf: folder.appending(path: name), encoding: .utf8)
  }

  private static func bytes(_ hexadecimal: String) -> [UInt8] {
    var digits = hexadecimal[...]
    var bytes: [UInt8] = []
    while let byte = UInt8(digits.prefix(2), radix: 16) {
      bytes.append(byte)
      digits = digits.dropFirst(2)
    }
    return bytes
  }

  // MARK: Texts

  @Test("a private key that ssh-keygen made belongs to the public key that it made with it")
  func pair() throws {
    let own = try PrivateKey(parsing: Self.fixture("c1")).publicKey
    let published = try PublicKey(parsing: Self.fixture("c1.pub"))
    #expect(own == published)
    #expect(published.fingerprint == "SHA256:ly66/lzaM66oOjWa23GDhMCDnfRTNkHJQ3P2xIiguUY")
    #expect(try Self.fixture("c1.pub") == "\(published) c1@tests\n")
    #expect(try PublicKey(parsing: "  \(published)\t a comment of words ") == published)
  }

  private static let line =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPdoDxE+kC0uIN1/g3AB/ulW1xCbdog5nd++toDtBl5c"

  static let badPublicKeys: [(text: String, says: String)] = [
    ("", "the key is empty"),
    ("abc", "'abc' is not a public key; write ssh-ed25519"),
    ("ssh-rsa AAAA", "keys are of the kind ssh-ed25519, not ssh-rsa: ssh-keygen -t ed25519 makes one"),
    ("ecdsa-sha2-nistp256 AAAA", "not ecdsa-sha2-nistp256"),
    ("ssh-ed25519", "not whole"),
    (String(line.dropLast()), "not whole"),
    (String(line.dropLast(4)), "cut short"),
    (line + "AAAA", "not such a key"),
    (line.replacing("ssh-ed25519 AAAAC3", with: "ssh-ed25519 AAAAC2"), "not such a key"),
    ("ssh-ed25519 /////w==", "cut short"),
    ("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAAA==", "has 32 bytes, not 0"),
    ("-----BEGIN OPENSSH PRIVATE KEY-----", "this is a private key"),
    ("\(line) me\n\(line) you\n", "one key, not 2 lines"),
    ("\(line) me\r\n\r\n\(line) you", "one key, not 2 lines"),
  ]

  @Test("what is not a public key says what it is instead", arguments: badPublicKeys.indices)
  func badPublicKey(index: Int) {
    let (text, says) = Self.badPublicKeys[index]
    let error = #expect(throws: KeyError.self) { try PublicKey(parsing: text) }
    #expect(error?.message.contains(says) == true, "\(text): \(error?.message ?? "")")
  }

  @Test("what is not a private key of ours says what it is instead")
  func badPrivateKeys() throws {
    let whole = try Self.fixture("c1")
    let lines = whole.split(separator: "\n")
    let cases: [(text: String, says: String)] = [
      ("", "not an OpenSSH private key"),
      (try Self.fixture("c1.pub"), "this is a public key"),
      (try Self.fixture("ec"), "of the kind ssh-ed25519, not ecdsa-sha2-nistp256"),
      (try Self.fixture("locked"), "has a passphrase"),
      ("\(lines[0])\nAAAA\n\(lines[lines.count - 1])", "cut short"),
      (whole.replacing("b3BlbnNzaC1rZXkt", with: "c3BlbnNzaC1rZXkt"), "version"),
      (whole.replacing("b3BlbnNzaC1rZXkt", with: "b3Bl*nNzaC1rZXkt"), "Base64"),
      // The check numbers, the seed and the public half: each is found out.
      (whole.replacing("JANNaMVDTWj", with: "JANNaMVDTWk"), "damaged"),
      (whole.replacing("AEAH4B1vem", with: "AEAH4B1veq"), "halves"),
      (whole.replacing("xCbdog5nd++", with: "xCbdog5ne++"), "halves"),
    ]
    for (text, says) in cases {
      let error = #expect(throws: KeyError.self, "\(says)") { try PrivateKey(parsing: text) }
      #expect(error?.message.contains(says) == true, "\(says): \(error?.message ?? "")")
    }
  }

  @Test("a private key cut anywhere is refused")
  func cut() throws {
    let whole = try Self.fixture("c1")
    for count in 0..<whole.count - 1 {
      #expect(throws: KeyError.self) { try PrivateKey(parsing: String(whole.prefix(count))) }
    }
  }

  @Test("a private key shows its secret to nobody")
  func secret() throws {
    let key = try PrivateKey(seed: [UInt8](repeating: 7, count: 32))
    var dumped = ""
    dump(key, to: &dumped)
    for text in ["\(key)", String(reflecting: key), "\(Optional(key) as Any)", dumped] {
      #expect(!text.contains("7, 7"), "\(text)")
      #expect(text.contains(key.publicKey.fingerprint))
    }
  }

  // MARK: Signatures

  @Test("the first test of RFC 8032, section 7.1")
  func standard() throws {
    let seed = Self.bytes("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
    let key = try PrivateKey(seed: seed)
    #expect(
      key.publicKey.bytes == Self.bytes("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"))
    let signature = Self.bytes(
      "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
        + "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b")
    #expect(key.signature(of: []) == signature)
    #expect(key.publicKey.verifies(signature, of: []))
    #expect(!key.publicKey.verifies(signature, of: [0]))
    #expect(throws: KeyError.self) { try PrivateKey(seed: Array(seed.dropLast())) }
    #expect(throws: KeyError.self) { try PublicKey(bytes: seed + [0]) }
  }

  @Test("a proof holds for its own challenge, server, address and channel, and no other")
  func proof() throws {
    let key = try PrivateKey(seed: [UInt8](repeating: 7, count: 32))
    let challenge = [UInt8](0..<32)
    let scope = ProofScope(serverKey: PrivateKey.random().publicKey.bytes)
    let proof = Proof(of: key, to: challenge, server: "s1", address: ([127, 0, 0, 1], 8181), in: scope)
    func proven(_ proof: Proof, _ challenge: [UInt8]? = nil, _ other: ProofScope? = nil) -> PublicKey? {
      try? proof.key(provenFor: challenge ?? [UInt8](0..<32), in: other ?? scope)
    }
    #expect(proven(proof) == key.publicKey)
    #expect(proven(proof, challenge.reversed()) == nil)
    // An impostor's, and another channel of the same server.
    #expect(proven(proof, nil, ProofScope(serverKey: PrivateKey.random().publicKey.bytes)) == nil)
    #expect(proven(proof, nil, ProofScope(serverKey: scope.serverKey, channel: [0])) == nil)
    var changed = proof
    changed.server = "s2"
    #expect(proven(changed) == nil)
    changed = proof
    changed.ip = [127, 0, 0, 2]
    #expect(proven(changed) == nil)
    changed = proof
    changed.port = 8182
    #expect(proven(changed) == nil)
    changed = proof
    changed.key = try PrivateKey(seed: [UInt8](repeating: 8, count: 32)).publicKey.bytes
    #expect(proven(changed) == nil)
    for index in proof.signature.indices {
      changed = proof
      changed.signature[index] ^= 1
      #expect(proven(changed) == nil)
    }
  }

  @Test("a server's proof holds for its own nonce, key and channel, and no other")
  func serverProof() throws {
    let key = PrivateKey.random()
    let nonce = [UInt8](0..<32)
    let proof = ServerProof(of: key, to: nonce)
    #expect(try proof.key(provenFor: nonce) == key.publicKey)
    #expect((try? proof.key(provenFor: nonce.reversed())) == nil)
    #expect((try? proof.key(provenFor: nonce, channel: [0])) == nil)
    var changed = proof
    changed.key = PrivateKey.random().publicKey.bytes
    #expect((try? changed.key(provenFor: nonce)) == nil)
    for index in proof.signature.indices {
      changed = proof
      changed.signature[index] ^= 1
      #expect((try? changed.key(provenFor: nonce)) == nil)
    }
    let bound = ServerProof(of: key, to: nonce, channel: [1, 2])
    #expect(try bound.key(provenFor: nonce, channel: [1, 2]) == key.publicKey)
    #expect((try? bound.key(provenFor: nonce)) == nil)
  }

  @Test("a server's signature is never a client's, whatever the bytes that were asked for")
  func separated() throws {
    let scope = ProofScope(serverKey: [UInt8](repeating: 1, count: 32))
    let proof = Proof(key: scope.serverKey, server: "", ip: [0, 0, 0, 0], port: 0, signature: [])
    for count in 32...64 {
      let asked = [UInt8](repeating: 1, count: count)
      #expect(
        !ServerProof.statement(answering: asked, in: scope).starts(
          with: proof.statement(answering: asked, in: scope).prefix(20)))
    }
  }

  // MARK: Files

  @Test("a private key that others may read is refused, and the message says how to fix it")
  func mode() throws {
    let directory = TemporaryDirectory()
    try directory.write(Self.fixture("c1"), to: "c1")
    let path = "\(directory.path)/c1"
    chmod(path, 0o640)
    let error = #expect(throws: KeyError.self) { try KeyFile.privateKey(at: path) }
    #expect(error?.message == "\(path) may be read by others than its owner: chmod 600 '\(path)'")
    chmod(path, 0o600)
    #expect(try KeyFile.privateKey(at: path).publicKey == PublicKey(parsing: Self.fixture("c1.pub")))
  }

  @Test("a file of public keys has one a line, comments and empty lines; a bad line is named")
  func list() throws {
    let directory = TemporaryDirectory()
    let path = "\(directory.path)/deployers"
    let (first, second) = (try Self.fixture("c1.pub"), try Self.fixture("deployer.pub"))
    try directory.write("# who may deploy\n\n\(first)  # not a key\n\(second)", to: "deployers")
    #expect(
      try KeyFile.publicKeys(at: path) == [PublicKey(parsing: first), PublicKey(parsing: second)])
    try directory.write("\(first)ssh-rsa AAAA\n", to: "deployers")
    let error = #expect(throws: KeyError.self) { try KeyFile.publicKeys(at: path) }
    #expect(error?.message.hasPrefix("\(path):2: keys are of the kind ssh-ed25519") == true)
    try directory.write("", to: "deployers")
    #expect(try KeyFile.publicKeys(at: path).isEmpty)
    for mode: mode_t in [0o620, 0o602] {
      chmod(path, mode)
      let error = #expect(throws: KeyError.self) { try KeyFile.publicKeys(at: path) }
      #expect(error?.message == "\(path) may be written by others than its owner: chmod go-w '\(path)'")
    }
  }

  @Test("lines may end as on any system, and each is read")
  func lineEnds() throws {
    let directory = TemporaryDirectory()
    let keys = try ["c1.pub", "deployer.pub"].map(Self.fixture).map { $0.trimmingCharacters(in: .newlines) }
    let wanted = try Set(keys.map { try PublicKey(parsing: $0) })
    for end in ["\n", "\r\n", "\r"] {
      let path = try directory.write("# us\(end)\(keys.joined(separator: end))\(end)", to: "deployers")
      #expect(try KeyFile.publicKeys(at: path) == wanted)
    }
    try directory.write("# us\r\nrubbish\r\n", to: "deployers")
    let error = #expect(throws: KeyError.self) {
      try KeyFile.publicKeys(at: directory.file("deployers"))
    }
    #expect(
      error?.message.hasPrefix("\(directory.file("deployers")):2: 'rubbish' is not a public key") == true)
    let text = try Self.fixture("c1").replacing("\n", with: "\r\n")
    #expect(try wanted.contains(PrivateKey(parsing: text).publicKey))
  }

  @Test("an option that names no file is wrong, an empty variable names none")
  func chosen() throws {
    let error = #expect(throws: KeyError.self) { try KeyFile.chosenPrivateKey("", environment: nil) }
    #expect(error?.message == "'' cannot be read: No such file or directory")
    #expect(try KeyFile.chosenPrivateKey(nil, environment: nil) == nil)
    #expect(try KeyFile.chosenPrivateKey(nil, environment: "") == nil)
    #expect(throws: KeyError.self) { try KeyFile.chosenPrivateKey(nil, environment: "/nowhere") }
  }

  @Test("what cannot be read is named")
  func unreadable() throws {
    let directory = TemporaryDirectory()
    for (path, says) in [
      ("\(directory.path)/nowhere", "cannot be read: No such file or directory"),
      (directory.path, "is not a file"), ("/dev/zero", "is not a file"),
    ] {
      let error = #expect(throws: KeyError.self) { try KeyFile.privateKey(at: path) }
      #expect(error?.message == "'\(path)' \(says)")
    }
    let pipe = directory.file("pipe")
    #expect(mkfifo(pipe, 0o600) == 0)
    // Nobody writes to it: a reader would wait for ever.
    let none = #expect(throws: KeyError.self) { try KeyFile.publicKeys(at: pipe) }
    #expect(none?.message == "'\(pipe)' is not a file")
    try directory.write(String(repeating: "#", count: KeyFile.byteCountMax + 1), to: "large")
    let error = #expect(throws: KeyError.self) { try KeyFile.publicKeys(at: "\(directory.path)/large") }
    #expect(error?.message.contains("has \(KeyFile.byteCountMax + 1) bytes") == true)
  }
}
