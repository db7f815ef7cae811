import Foundation
import RPCKeys
import RPCNetwork
import RPCWire
import Testing

@testable import RPCDeployment

@Suite("The statement that a deployer signs")
struct StatementTests {
  /// Everything that a statement may say.
  static let full: DeploymentStatement = {
    var origin = Samples.origin(7, by: Samples.signer(7))
    origin.network = "shop"
    origin.who = "ada@build (process 7)"
    origin.message = "line one\nline two"
    origin.commit = "9fceb02d0ae598e95dc970b74767f19372d61af8"
    origin.rollbackOf = 3
    origin.leftOut = ["s2", "s3"]
    origin.isRehearsal = true
    return DeploymentStatement(
      server: "s1", serverKey: Samples.signer(9).publicKey, manifest: String(repeating: "ab", count: 32),
      topology: String(repeating: "cd", count: 32), origin: origin)
  }()

  @Test("comes back as it was, with everything and with as little as there may be")
  func roundTrip() throws {
    #expect(try DeploymentStatement(decoding: Self.full.encode()) == Self.full)
    var small = Self.full
    small.origin = Samples.origin(1)
    #expect(try DeploymentStatement(decoding: small.encode()) == small)
    small.server = "web-*"
    small.serverKey = nil
    #expect(try DeploymentStatement(decoding: small.encode()) == small)
    let signed = SignedStatement(Self.full, by: Samples.signer(7))
    #expect(try SignedStatement(bytes: signed.bytes, signature: signed.signature) == signed)
  }

  /// A field, a value that it cannot have, and what is said of it.
  static let wrong: [(String, Value?, String)] = [
    ("simplerpc_deployment", nil, "is missing"), ("simplerpc_deployment", 2, "has format 2"),
    ("id", "0123456789AB", "12 hexadecimal digits"), ("id", "0123456789a", "12 hexadecimal digits"),
    ("id", nil, "is missing"), ("serial", 0, "is not a number from 1 to"), ("serial", nil, "is missing"),
    ("serial", .int(Int64(DeploymentLimits.serialMax) + 1), "is not a number from 1 to"),
    ("network", "", "is not a name"), ("network", nil, "is missing"),
    ("server", "a b", "neither a name nor a pattern"), ("server", nil, "is missing"),
    ("server", "web-*", "server_key stands beside the pattern"),
    ("server_key", nil, "server_key is missing"), ("server_key", .bytes([1]), "has 32 bytes, not 1"),
    ("server_key", .bytes([UInt8](repeating: 0, count: 32)), "small order"),
    ("manifest", "ab", "is not a SHA-256"), ("manifest", nil, "is missing"),
    ("topology", 5, "is not a SHA-256"), ("topology", nil, "is missing"),
    ("deployer", nil, "is missing"), ("deployer", "x", "is not bytes"),
    ("who", nil, "canonical"), ("who", .string(String(repeating: "a", count: 257)), "the limit is 256"),
    ("who", "a\u{1b}[2J", "has control characters"), ("time_ms", nil, "is missing"),
    ("message", .string(String(repeating: "a", count: 1025)), "the limit is 1024"),
    ("commit", .string(String(repeating: "a", count: 65)), "the limit is 64"),
    ("rollback_of", 0, "is not a number from 1 to"), ("left_out", .list([]), "is not a list of names"),
    ("left_out", ["a b"], "is not a list of names"), ("left_out", "s1", "is not a list of names"),
    ("rehearsal", false, "is not true"),
  ]

  @Test("is refused with the field that is wrong", arguments: wrong.indices)
  func refused(index: Int) throws {
    let (field, value, says) = Self.wrong[index]
    let bytes = AdmissionTests.changed(Self.full) { entries in
      guard let at = entries.firstIndex(where: { $0.key == field }) else { return }
      if let value { entries[at].value = value } else { entries.remove(at: at) }
    }
    #expect { try DeploymentStatement(decoding: bytes) } throws: { "\($0)".contains(says) }
  }

  @Test("is refused in any other order or spelling, and beyond its bound")
  func canonical() throws {
    let bytes = AdmissionTests.changed(Self.full) { $0.swapAt(1, 2) }
    #expect { try DeploymentStatement(decoding: bytes) } throws: { "\($0)".contains("canonical") }
    let long = [UInt8](repeating: 0xc0, count: DeploymentLimits.statementBytesMax + 1)
    #expect { try DeploymentStatement(decoding: long) } throws: {
      ($0 as? DeploymentError)?.kind == .tooLarge
    }
    #expect { try DeploymentStatement(decoding: Array(long.dropLast())) } throws: {
      ($0 as? DeploymentError)?.kind == .malformed
    }
  }

  @Test("a signature for one purpose holds for no other")
  func domains() throws {
    let key = Samples.signer(7)
    let bytes = Self.full.encode()
    let signature = key.sign([.bytes(bytes)], for: .acceptance)
    #expect(key.publicKey.verifies(signature, of: [.bytes(bytes)], for: .acceptance))
    #expect { try SignedStatement(bytes: bytes, signature: signature) } throws: {
      ($0 as? DeploymentError)?.kind == .untrusted
    }
  }

  // MARK: The document

  /// The blocks of Docs/PROTOCOL.md that begin with "```vector KIND".
  static func vector(_ kind: String) throws -> [UInt8] {
    let file = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../Docs/PROTOCOL.md")
    let text = try String(contentsOf: file, encoding: .utf8)
    let start = try #require(text.range(of: "```vector \(kind)\n"))
    let block = try #require(text[start.upperBound...].components(separatedBy: "```").first)
    return block.split(separator: "\n").flatMap { line in
      line.prefix { $0 != "|" }.split(separator: " ").compactMap { UInt8($0, radix: 16) }
    }
  }

  @Test("is what Docs/PROTOCOL.md shows, byte by byte, and so are both signatures and the id")
  func documented() throws {
    let bytes = try Self.vector("deployment statement")
    let statement = try DeploymentStatement(decoding: bytes)
    let digests = ["manifest", "topology"].map { ContentDigest.hex(of: Array($0.utf8)) }
    var origin = DeploymentOrigin(
      id: DeploymentID.of(network: "shop", topology: digests[1], manifests: [("s1", digests[0])]), serial: 12,
      network: "shop", deployer: Samples.signer(7).publicKey, who: "ada@build (process 7)",
      timeMilliseconds: 1_767_225_600_000)
    origin.message = "faster"
    #expect(
      statement
        == DeploymentStatement(
          server: "s1", serverKey: Samples.signer(9).publicKey, manifest: digests[0], topology: digests[1],
          origin: origin))
    #expect(statement.encode() == bytes)
    let signed = SignedStatement(statement, by: Samples.signer(7))
    #expect(try signed.signature == Self.vector("deployment signature"))
    // The fence of that deployment, as the server keeps it.
    let lines = Fence(serial: 12, id: origin.id).text
    let sealed = SealedText.seal(lines, .fence, number: 0, by: Samples.signer(9))
    let seal = try #require(sealed.split(separator: "\n").last?.split(separator: " ").last)
    #expect(try Base64.decode(seal) == Self.vector("deployment acceptance"))
  }

  @Test("the id is of the whole network's content, and not of what servers have proven or who is first")
  func identity() {
    let manifests = [Samples.manifest(server: "s1"), Samples.manifest(server: "s2")]
    let id = DeploymentID.of(network: "default", topology: Samples.topology, manifests: manifests)
    #expect(DeploymentID.isValid(id))
    #expect(
      id == DeploymentID.of(network: "default", topology: Samples.topology, manifests: manifests.reversed()))
    var proven = Samples.topology
    proven.servers[0].proven = Samples.serverKey.publicKey
    #expect(id == DeploymentID.of(network: "default", topology: proven, manifests: manifests))
    let others = [
      DeploymentID.of(network: "other", topology: Samples.topology, manifests: manifests),
      DeploymentID.of(network: "default", topology: Samples.topology(port: 9), manifests: manifests),
      DeploymentID.of(network: "default", topology: Samples.topology, manifests: [manifests[0]]),
      DeploymentID.of(
        network: "default", topology: Samples.topology,
        manifests: [manifests[0], Samples.manifest([], server: "s2")]),
    ]
    #expect(Set(others + [id]).count == 5)
  }
}
